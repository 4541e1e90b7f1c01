TASKWORKS = {"DASHBOARD_REDACT": "shop.redact.hide_addresses"}
