{# What the model says that a build replaces in it: scopes, each with the columns that name it. #}
{% macro replaced_scopes() %}
    {{ return(model.config.meta.replaces) }}
{% endmacro %}
