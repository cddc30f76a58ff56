{#
    Stops the build where a log has rows but no search can be made of them: everything derived from
    it would be empty. What is wrong was judged row by row in the ledger of rows; here it is only
    counted and put into words.
#}
{% macro stop_without_usable_rows(searches) %}
    {% set united = ref('int_rows__united') %}
    {% if execute %}
        {% set is_usable %}
            select 1
            where
                not exists (select 1 from {{ united }})
                or exists (select 1 from {{ searches }})
        {% endset %}
        {% if not run_query(is_usable).rows %}
            {{ exceptions.raise_compiler_error(unusable_log_sentence(united)) }}
        {% endif %}
    {% endif %}
{% endmacro %}

{# Why most rows cannot be used and what to do about it, then three of them, a line each. #}
{% macro unusable_log_sentence(united) %}
    {% set counted %}
        select
            coalesce(rejection_reason, 'event_without_search') as reason,
            max(source) as source,
            count(*) as n_rows,
            sum(count(*)) over () as n_all
        from {{ united }}
        group by coalesce(rejection_reason, 'event_without_search')
        order by n_rows desc, reason
    {% endset %}
    {% set reasons = run_query(counted).rows %}
    {% set main = reasons[0]['reason'] %}
    {% set sampled %}
        select
            regexp_replace(source_file, '^.*/', '') as file_name,
            row_number,
            substr(regexp_replace(coalesce(payload, {{ row_as_json() }}), '\p{C}', '?', 'g'), 1, 160)
                as text
        from {{ united }}
        where coalesce(rejection_reason, 'event_without_search') = '{{ main }}'
        order by source_file, row_number
        limit 3
    {% endset %}
    {% set lines = [] %}
    {% for row in run_query(sampled).rows %}
        {% do lines.append('row ' ~ row['row_number'] ~ ' of ' ~ row['file_name'] ~ ': ' ~ row['text']) %}
    {% endfor %}
    {% set others = [] %}
    {% for row in reasons[1:4] %}
        {% do others.append('{:,}'.format(row['n_rows'] | int) ~ ' ' ~ row['reason']) %}
    {% endfor %}
    {{ return(
        'Nothing in the log can be used, so nothing was built from it: '
        ~ '{:,}'.format(reasons[0]['n_rows'] | int) ~ ' of '
        ~ '{:,}'.format(reasons[0]['n_all'] | int) ~ ' rows are ' ~ main
        ~ (' (also ' ~ others | join(', ') ~ ')' if others else '') ~ '; '
        ~ unusable_row_advice(main, reasons[0]['source']) ~ '. For example:\n'
        ~ lines | join('\n')
    ) }}
{% endmacro %}

{# What a reason means for whoever exports the log. #}
{% macro unusable_row_advice(reason, source) %}
    {% set is_flat = source == 'flat' %}
    {% set advice = {
        'malformed_json': 'write one whole JSON document per line',
        'malformed_csv': 'write as many values in each row as the header names, '
            ~ 'and put those with delimiters in quotes',
        'not_utf8': 'the text is not UTF-8; convert it (iconv -f CP1252 -t UTF-8 does it for '
            ~ 'Windows\' Western encoding)',
        'line_too_long': 'write a document of at most 8 MB per line',
        'not_a_ubi_document': 'a UBI document has query_id and user_query, or action_name',
        'missing_time': (logged_name('searched_at') if is_flat else 'timestamp')
            ~ ' holds no time that can be read; write ISO 8601 (2026-01-31T10:00:00Z) or seconds '
            ~ 'since 1970',
        'impossible_time': (logged_name('searched_at') if is_flat else 'timestamp')
            ~ ' lies before earliest_plausible_at, or after latest_plausible_at (a day after the '
            ~ 'file was written, if empty); correct it, or set the var',
        'missing_search_id': (logged_name('search_id') if is_flat else 'query_id') ~ ' must name the search',
        'missing_query': (logged_name('query') if is_flat else 'user_query') ~ ' must hold what was searched '
            ~ 'for (a document without action_name is read as a query)',
        'query_too_long': 'texts of more than max_query_length characters are no queries; look '
            ~ 'whether the columns are what they are called, or set the var',
        'missing_document': (logged_name('doc_id') if is_flat else 'event_attributes.object.object_id')
            ~ ' must name the document',
        'missing_rank': (logged_name('rank') if is_flat else 'event_attributes.position.ordinal')
            ~ ' must hold the place at which the document was shown',
        'impossible_rank': (logged_name('rank') if is_flat else 'event_attributes.position.ordinal')
            ~ ' must be a whole number from 0 or 1 to max_rank',
        'invalid_clicked': logged_name('clicked') ~ ' must be true or false, or 1 or 0',
        'click_outside_attribution': 'clicks must lie between their search and '
            ~ 'attribution_minutes after it; look whether both times are in one time zone',
        'orphan_event': 'the searches of these events are not in the log; name the queries too '
            ~ '(raw_queries)',
        'event_without_search': 'the searches of these events are not in the log; name the '
            ~ 'queries too (raw_queries)',
    } %}
    {{ return(advice.get(reason, 'mend these rows')) }}
{% endmacro %}
