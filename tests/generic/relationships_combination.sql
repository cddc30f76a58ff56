{# Several columns together refer to a row of `to`: relationships, for keys of more than one column. #}
{% test relationships_combination(model, columns, to, fields) %}

    select {{ columns | join(', ') }}
    from {{ model }} as child
    where
        {% for column in columns %}
        child.{{ column }} is not null and
        {% endfor %}
        not exists (
            select 1
            from {{ to }} as parent
            where
                {% for column in columns %}
                parent.{{ fields[loop.index0] }} = child.{{ column }}{{ ' and' if not loop.last }}
                {% endfor %}
        )

{% endtest %}
