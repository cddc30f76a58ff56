{#
    Training, evaluation and serving share these lines, so that a feature means the same in all
    three. Each level is shrunk towards the one above it; a document never shown has no behaviour
    at all, which is null and not zero.
#}
{% macro behavior_features(pair, document, overall, day) -%}
    {%- set prior = var('behavior_prior_impressions') -%}
    {%- set overall_rate = overall ~ '.n_clicks / nullif(' ~ overall ~ '.exposure, 0)' -%}
    {%- set overall_sat = overall ~ '.n_sat_clicks / nullif(' ~ overall ~ '.n_clicks, 0)' -%}
    {%- set document_rate = shrunk_rate(
        or_zero(document ~ '.n_clicks'), or_zero(document ~ '.exposure'), or_zero(overall_rate),
        prior
    ) -%}
    {%- set document_sat = shrunk_rate(
        or_zero(document ~ '.n_sat_clicks'), or_zero(document ~ '.n_clicks'), or_zero(overall_sat),
        prior
    ) -%}
    {%- set features = {
        'bhv_click_rate': shrunk_rate(
            or_zero(pair ~ '.n_clicks'), or_zero(pair ~ '.exposure'), or_zero(document_rate), prior
        ),
        'bhv_log_exposure': 'ln(1 + coalesce(' ~ pair ~ '.exposure, 0))',
        'bhv_sat_rate': shrunk_rate(
            or_zero(pair ~ '.n_sat_clicks'), or_zero(pair ~ '.n_clicks'), or_zero(document_sat),
            prior
        ),
        'bhv_days_since_shown':
            'cast(' ~ day ~ ' - ' ~ pair ~ '.last_shown_on as integer)',
        'bhv_doc_click_rate': document_rate,
        'bhv_doc_log_exposure': 'ln(1 + ' ~ document ~ '.exposure)',
        'bhv_doc_sat_rate': document_sat,
        'bhv_doc_days_since_shown':
            'cast(' ~ day ~ ' - ' ~ document ~ '.last_shown_on as integer)',
    } -%}
    {%- for name, expression in features.items() %}
    cast(
        case when {{ document }}.n_impressions > 0 then {{ expression }} end as double
    ) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
