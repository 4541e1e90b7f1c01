import re
import subprocess

LAST_LINE = re.compile(r"tenants: limited=(\d+) unlimited=(\d+)")
MANY, FEW = 2000, 5


def test_a_tenant_with_few_imports_does_not_wait_for_one_with_many(manage):
    arguments = ("--many", str(MANY), "--few", str(FEW))
    ended = subprocess.run(
        **manage("tenants", *arguments), capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.returncode == 0, ended.stderr
    limited, unlimited = map(int, LAST_LINE.fullmatch(ended.stdout.splitlines()[-1]).groups())
    assert limited <= 10 * FEW
    assert unlimited > MANY * 0.9
