{#
    The labelling functions, a line each, in the order of fct_weak_labels.votes. `answer` is a
    condition on one impression, made by the macro labelling_functions__<name>: true is what it
    looks for, false is not, null has nothing to say. `is_against` turns the vote round: what it
    looks for speaks against the document.
#}
{% macro labelling_functions(impression='impressions') %}
    {{ return([
        {'name': 'clicks', 'answer': labelling_functions__clicks(impression)},
        {'name': 'sat_clicks', 'answer': labelling_functions__sat_clicks(impression)},
        {'name': 'last_clicks', 'answer': labelling_functions__last_clicks(impression)},
        {'name': 'pogo_clicks', 'answer': labelling_functions__pogo_clicks(impression),
            'is_against': true},
        {'name': 'conversions', 'answer': labelling_functions__conversions(impression)},
    ]) }}
{% endmacro %}
