from taskworks.problems import look
from taskworks.store import store

findings = look(store())
for problem in findings.problems:
    print(problem.severity, problem.id, problem.sentence, problem.remedy, problem.page)
for unknown in findings.unknown:
    print(unknown.id, unknown.sentence)
