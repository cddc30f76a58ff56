{# The columns that behavior_features() makes. #}
{% macro behavior_feature_names() %}
    {{ return([
        'bhv_click_rate', 'bhv_log_exposure', 'bhv_sat_rate', 'bhv_days_since_shown',
        'bhv_doc_click_rate', 'bhv_doc_log_exposure', 'bhv_doc_sat_rate',
        'bhv_doc_days_since_shown',
    ]) }}
{% endmacro %}
