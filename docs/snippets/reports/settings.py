TASKWORKS = {"API_TASKS": ["reports.tasks.MonthlyReport", "reports.functions.invite"]}
