"""
What is wrong, in sentences with numbers: one set of rules for ``taskworks health`` and ``status``,
``manage.py check --deploy``, pages and alarms.

``look`` asks the rules. Each is a function of a ``Situation``, which reads the facts.
"""

from taskworks.problems.looking import RULES, Findings, Rule, look
from taskworks.problems.problem import Problem, Severity, Unknown

__all__ = ["RULES", "Findings", "Problem", "Rule", "Severity", "Unknown", "look"]
