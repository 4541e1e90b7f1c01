from taskworks import Limit, task


@task(limit=Limit("imports", by="tenant", at_once=2, total=20))
def import_file(tenant: str, path: str) -> None:
    print(f"{tenant}: {path}")


@task(limit="imports", timeout=3600)
def import_archive(path: str, *, tenant: str) -> None:
    print(f"{tenant}: all of {path}")
