from taskworks import Debounce, task


@task(unique=Debounce("document_id", wait=30, longest=300))
def update_search_index(document_id: int, version: int) -> None:
    print(f"document {document_id} has version {version}")
