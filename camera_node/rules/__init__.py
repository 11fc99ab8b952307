"""Why an alert is raised: one file a rule, each pure, with its known false alarms in its docstring."""
