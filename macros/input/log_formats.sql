{#
    The formats with models of their own: each is a folder in models/staging that ends in the
    relations stg_<format>__searches, __impressions, __events and __rows.
#}
{% macro log_formats() %}
    {{ return(['flat', 'ubi']) }}
{% endmacro %}
