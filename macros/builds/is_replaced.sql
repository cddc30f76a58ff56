{#
    True for what this build replaces in the model, as `replaces` in its meta says. The model asks
    it of what it reads, where its columns may be called otherwise, and the strategy of what it
    removes: said once, the two cannot differ.
#}
{% macro is_replaced(renamed={}) -%}
    {%- if is_incremental() and execute -%}
        {%- set conditions = [] -%}
        {%- for scope, columns in replaced_scopes().items() -%}
            {%- set names = [] -%}
            {%- for column in columns -%}
                {%- do names.append(renamed.get(column, column)) -%}
            {%- endfor -%}
            {%- do conditions.append(is_changed(scope, names)) -%}
        {%- endfor -%}
        ({{ conditions | join(' or ') }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
