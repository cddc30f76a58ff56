{# None of the columns holds a null: one row per column that does. All are counted in one scan, since a
   scan per column is what costs. #}
{% test required_columns(model, columns) %}

    with

    counted as (

        select
            {% for column in columns %}
            count(*) - count({{ column }}) as n_nulls_{{ loop.index }}{{ ',' if not loop.last }}
            {% endfor %}
        from {{ model }}

    ),

    names as (

        {% for column in columns %}
        select '{{ column }}' as column_name {{ 'union all' if not loop.last }}
        {% endfor %}

    ),

    -- A select per column from `counted` would let an engine read the table for each.
    by_column as (

        select
            names.column_name,
            case names.column_name
                {% for column in columns %}
                when '{{ column }}' then counted.n_nulls_{{ loop.index }}
                {% endfor %}
            end as n_nulls
        from counted
        cross join names

    )

    select
        column_name,
        n_nulls
    from by_column
    where n_nulls > 0

{% endtest %}
