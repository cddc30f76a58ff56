{#
    Each click with its page, which is named by the set of documents shown, in whatever order: it is
    what a click can be compared with.
#}
{% macro clicks_on_pages(click_weights) %}
    with clicked as (
        select distinct search_id
        from {{ click_weights }}
        where clicked = 1
    ),

    pages as (
        select
            shown.search_id,
            {{ order_free_fingerprint('shown.doc_id') }} as page_id
        from {{ click_weights }} as shown
        inner join clicked
            on shown.search_id = clicked.search_id
        group by shown.search_id
    )

    select
        click_weights.search_id,
        click_weights.query,
        click_weights.doc_id,
        pages.page_id,
        click_weights.searched_at,
        click_weights.clicked_at,
        cast(click_weights.searched_at as date) as feature_date,
        click_weights.ips_label
    from {{ click_weights }} as click_weights
    inner join pages
        on click_weights.search_id = pages.search_id
    where click_weights.clicked = 1
{% endmacro %}
