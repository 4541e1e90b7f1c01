TASKWORKS = {"DASHBOARD_ACCESS": "shop.access.may"}
