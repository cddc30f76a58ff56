{# The table has one row, so it needs no key. #}
{% test one_row(model) %}

    select count(*) as n_rows
    from {{ model }}
    having count(*) <> 1

{% endtest %}
