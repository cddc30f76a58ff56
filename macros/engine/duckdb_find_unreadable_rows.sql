{#
    Lines that DuckDB cannot read (not UTF-8, or longer than its buffer) are dropped by a tolerant
    scan and end an intolerant one. So each run starts with a scan that stores them in
    raw.unreadable_rows, with their place among the lines that can be read: row_index is the last
    readable row before them, row_tie their own line number.
#}
{% macro duckdb_find_unreadable_rows(formats) %}
    {% do run_query(
        'create or replace table raw.unreadable_rows (source_file varchar, row_index bigint, '
        ~ 'row_tie bigint, is_line boolean, read_error varchar, line varchar)'
    ) %}
    {% for format in formats %}
        {% if format.pending.ndjson %}
            {% do duckdb_store_unreadable_rows(
                format.pending.ndjson, duckdb_line_reader(), ['line'], 0
            ) %}
        {% endif %}
        {% for dialect in format.pending.csv_dialects %}
            {% set columns = ['unexpected_value'] %}
            {% for column in format.shown if path_of(column) | lower in dialect.columns %}
                {% do columns.append(path_of(column) | lower) %}
            {% endfor %}
            {% do duckdb_store_unreadable_rows(
                dialect.files, duckdb_csv_reader(dialect), columns, 1
            ) %}
        {% endfor %}
    {% endfor %}
{% endmacro %}

{# Only columns that are read are checked: those that the views read, no more and no fewer. #}
{% macro duckdb_store_unreadable_rows(files, reader, columns, header_lines) %}
    {% for table in ('flywheel_read_errors', 'flywheel_read_scans', 'flywheel_read_sizes') %}
        {% do run_query('drop table if exists ' ~ table) %}
    {% endfor %}
    {% set scan %}
        create temp table flywheel_read_sizes as
        select
            source_file,
            {% for column in columns %}
                count("{{ column }}") as n_{{ loop.index }},
            {% endfor %}
            count(*) as n_rows
        from read_csv(
            {{ duckdb_file_list(files) }}, {{ reader }}, store_rejects = true, rejects_limit = 0,
            rejects_table = 'flywheel_read_errors', rejects_scan = 'flywheel_read_scans'
        )
        group by source_file
    {% endset %}
    {% set store %}
        insert into raw.unreadable_rows
        with

        rejected as (

            select
                scans.file_path as source_file,
                errors.line as line_number,
                min(case cast(errors.error_type as varchar)
                    when 'INVALID ENCODING' then 'not_utf8'
                    when 'LINE SIZE OVER MAXIMUM' then 'line_too_long'
                    else 'malformed_csv'
                end) as read_error,
                min(errors.csv_line) as line
            from flywheel_read_errors as errors
            inner join flywheel_read_scans as scans
                on errors.scan_id = scans.scan_id and errors.file_id = scans.file_id
            group by scans.file_path, errors.line

        ),

        files as (

            select unnest({{ duckdb_file_list(files) }}) as source_file,
                generate_subscripts({{ duckdb_file_list(files) }}, 1) as position

        ),

        starts as (

            select
                files.source_file,
                coalesce(sum(sizes.n_rows) over (
                    order by files.position rows between unbounded preceding and 1 preceding
                ), 0) as n_rows_before
            from files
            left join flywheel_read_sizes as sizes on files.source_file = sizes.source_file

        )

        select
            rejected.source_file,
            starts.n_rows_before + rejected.line_number - {{ header_lines }}
            - row_number() over (
                partition by rejected.source_file order by rejected.line_number
            ),
            rejected.line_number,
            {{ 'false' if header_lines else 'true' }},
            rejected.read_error,
            substr(rejected.line, 1, 10000)
        from rejected
        inner join starts on rejected.source_file = starts.source_file
    {% endset %}
    {% do run_query(scan) %}
    {% do run_query(store) %}
{% endmacro %}

{# A whole line is one column; the unit separator never stands in JSON. #}
{% macro duckdb_line_reader() -%}
    columns = {'line': 'varchar'}, delim = chr(31), quote = '', escape = '', header = false,
    auto_detect = false, strict_mode = false, filename = 'source_file', max_line_size = 8388608
{%- endmacro %}

{#
    One more column than the header names catches a row with too many values. Nothing is sniffed:
    one stray quote must not change how its neighbours are read.
#}
{% macro duckdb_csv_reader(dialect) -%}
    columns = {
        {% for column in dialect.columns %}
            '{{ column | replace("'", "''") }}': 'varchar',
        {% endfor %}
        'unexpected_value': 'varchar'
    },
    delim = '{{ dialect.delimiter }}', quote = '"', escape = '"', header = false, skip = 1,
    auto_detect = false, null_padding = true, parallel = false, strict_mode = false,
    filename = 'source_file', max_line_size = 8388608
{%- endmacro %}

{# CSV files by delimiter and header: the delimiter is the one that the header holds most of. #}
{% macro duckdb_csv_dialects(files) %}
    {% set dialects = {} %}
    {% for file in files %}
        {% set header = run_query(
            'select line from read_csv(' ~ duckdb_file_list([file]) ~ ', ' ~ duckdb_line_reader()
            ~ ', ignore_errors = true) limit 1'
        ).columns[0].values() | first %}
        {% if header %}
            {% set best = namespace(delimiter=',', count=header.count(',')) %}
            {% for delimiter in ('\t', ';', '|') if header.count(delimiter) > best.count %}
                {% set best.delimiter = delimiter %}
                {% set best.count = header.count(delimiter) %}
            {% endfor %}
            {% set columns = [] %}
            {% for name in header.split(best.delimiter) %}
                {% set plain = name.strip().strip('"').strip() | lower %}
                {% do columns.append(
                    plain if plain and plain not in columns else 'column_' ~ loop.index
                ) %}
            {% endfor %}
            {% set key = best.delimiter ~ columns | join(best.delimiter) %}
            {% if key not in dialects %}
                {% do dialects.update({key: {
                    'delimiter': best.delimiter, 'columns': columns, 'files': []
                } }) %}
            {% endif %}
            {% do dialects[key].files.append(file) %}
        {% endif %}
    {% endfor %}
    {{ return(dialects.values() | list) }}
{% endmacro %}
