{#
    What a model can say that a build replaces in it: the table that holds what changed, what the
    model's own columns for it stand for, and the condition on them, {0} being the first.
    Columns of the tables are named otherwise than the models', which a subquery would hide.
#}
{% macro scopes() %}
    {{ return({
        'everything': {'columns': [], 'condition': 'true'},
        'nothing': {'columns': [], 'condition': 'false'},
        'pending_files': {
            'table': 'pending_files',
            'columns': ['file'],
            'condition': '{0} in (select source_file from {table})',
        },
        'changed_inputs': {
            'table': 'changed_inputs',
            'columns': ['search key'],
            'condition': '{0} in (select search_key from {table})',
        },
        'changed_visits': {
            'table': 'changed_visits',
            'columns': ['visitor', 'moment'],
            'condition': 'exists (select 1 from {table} where visitor = {0} '
                ~ 'and {1} between range_start and range_end)',
        },
        'changed_visitor_days': {
            'table': 'changed_visits',
            'columns': ['visitor', 'moment or day'],
            'condition': 'exists (select 1 from {table} where visitor = {0} and '
                ~ 'cast({1} as date) between cast(range_start as date) and cast(range_end as date))',
        },
        'changed_searches': {
            'table': 'changed_searches',
            'columns': ['search'],
            'condition': '{0} in (select search_id from {table})',
        },
        'changed_sessions': {
            'table': 'changed_sessions',
            'columns': ['session'],
            'condition': '{0} in (select session_id from {table})',
        },
        'changed_visitors': {
            'table': 'changed_sessions',
            'columns': ['visitor'],
            'condition': '{0} in (select visitor from {table})',
        },
        'changed_deployments': {
            'table': 'changed_deployments',
            'columns': ['deployment'],
            'condition': '{0} in (select deployment_id from {table})',
        },
    }) }}
{% endmacro %}
