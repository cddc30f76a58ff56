{#
    Makes the source views of schema raw from the path vars, when a run starts. They show the files
    that no build has loaded yet, or that have changed since; the ledger of the others is
    flywheel_state.loaded_files. The format that is not chosen gets an empty view, so that every
    model exists whichever format is read.
#}
{% macro register_raw_sources() %}
    {% if execute and flags.WHICH in ('build', 'run') %}
        {{ return(adapter.dispatch('register_raw_sources', 'eval_flywheel')()) }}
    {% endif %}
{% endmacro %}

{% macro duckdb__register_raw_sources() %}
    {% do run_query('create schema if not exists raw') %}
    {% do run_query('delete from flywheel_state.pending_files') %}
    {% set chosen = chosen_format().config.meta %}
    {% set formats = declared_formats() | rejectattr('config.meta.like') | list %}
    {% set known = formats | map(attribute='config.meta.format') | list %}
    {% if chosen.like and chosen.like not in known %}
        {{ exceptions.raise_compiler_error(
            'The log format ' ~ chosen.format ~ ' is declared to be like ' ~ chosen.like
            ~ '; it must be like ' ~ known | join(' or ') ~ '.'
        ) }}
    {% endif %}
    {% for format in formats %}
        {% set files = {'ndjson': [], 'parquet': [], 'csv': []} %}
        {% set names = {} %}
        {% if format.config.meta.format == (chosen.like or chosen.format) %}
            {% for name in format.config.meta.vars
                if var(name) or format.config.meta.vars | length == 1 %}
                {% do sort_log_files(name, files) %}
            {% endfor %}
            {% do refuse_kinds_of_files(format.config.meta, files) %}
            {% do names.update(chosen.get('names', {})) %}
        {% endif %}
        {% do format.update({'shown': columns_as_logged(format, names)}) %}
        {% do duckdb_find_pending_files(format.config.meta, files) %}
        {% do files.update({'csv_dialects': duckdb_csv_dialects(files.csv)}) %}
        {% do format.update({'pending': files}) %}
    {% endfor %}
    {% do duckdb_find_unreadable_rows(formats) %}
    {% for format in formats %}
        {% do run_query(
            'create or replace view raw.' ~ format.name ~ ' as '
            ~ context['duckdb_raw_' ~ format.config.meta.reader](
                format.pending, format.shown
            )
        ) %}
    {% endfor %}
    {% do run_query(
        'create or replace view raw.ranking_features as '
        ~ duckdb_ranking_features(list_feature_files())
    ) %}
{% endmacro %}

{#
    Keeps of the files named those that staging does not hold as they are now, by size and time of
    modification, and notes them in flywheel_state.pending_files; there too stand the files of
    another log, whose rows have to go. A file that is no longer there has been loaded: its rows
    stay. A file's time of modification is when its rows arrived, unless it cannot be (archives
    set it to the epoch).
#}
{% macro duckdb_find_pending_files(declared, files) %}
    {% set source_name = declared.format %}
    {% set node = graph.nodes['model.eval_flywheel.' ~ declared.staged_in] %}
    {% set is_staged = not flags.FULL_REFRESH
        and adapter.get_relation(node.database, node.schema, node.alias) is not none %}
    {% set named = files.ndjson + files.parquet + files.csv %}
    {% set current_log = "(select log_id from flywheel_state.builds where build_number = "
        ~ current_build() ~ ")" %}
    {% set named_files %}
        select
            cast(null as varchar) as source_file, cast(null as bigint) as n_bytes,
            cast(null as timestamp) as modified_at
        where false
        {% if named %}
        union all
        select filename, size, cast(last_modified as timestamp)
        from read_blob({{ duckdb_file_list(named) }})
        {% endif %}
    {% endset %}
    {% do run_query(
        "insert into flywheel_state.pending_files "
        ~ "select '" ~ source_name ~ "', named.source_file, named.n_bytes, named.modified_at, "
        ~ "case when named.modified_at >= cast('" ~ var('earliest_plausible_at')
        ~ "' as timestamp) then named.modified_at else timestamp '"
        ~ run_started_at.strftime('%Y-%m-%d %H:%M:%S') ~ "' end, true "
        ~ 'from (' ~ named_files ~ ') as named '
        ~ 'left join flywheel_state.loaded_files as loaded '
        ~ "on loaded.source = '" ~ source_name ~ "' "
        ~ 'and loaded.source_file = named.source_file and loaded.n_bytes = named.n_bytes '
        ~ 'and loaded.modified_at = named.modified_at and loaded.log_id = ' ~ current_log
        ~ ' where loaded.source_file is null or ' ~ ('false' if is_staged else 'true')
    ) %}
    {% do run_query(
        'insert into flywheel_state.pending_files '
        ~ 'select source, source_file, n_bytes, modified_at, arrived_at, false '
        ~ "from flywheel_state.loaded_files where source = '" ~ source_name ~ "' "
        ~ 'and log_id <> ' ~ current_log ~ ' and source_file not in '
        ~ '(select source_file from (' ~ named_files ~ ') as named)'
    ) %}
    {% set pending = run_query(
        'select source_file from flywheel_state.pending_files '
        ~ "where is_named and source = '" ~ source_name ~ "'"
    ).columns[0].values() | list %}
    {% for kind in ('ndjson', 'parquet', 'csv') %}
        {% do files.update({kind: files[kind] | select('in', pending) | list}) %}
    {% endfor %}
{% endmacro %}

{# The columns of a format, each with the path under which the log has it. #}
{% macro columns_as_logged(format, names) %}
    {% set unknown = names | reject('in', format.columns) | sort %}
    {% if unknown %}
        {{ exceptions.raise_compiler_error(
            'The log format ' ~ var('log_format') ~ ' names ' ~ unknown | join(' and ')
            ~ ', which ' ~ format.config.meta.noun ~ ' does not have; it has '
            ~ format.columns | join(', ') ~ '.'
        ) }}
    {% endif %}
    {% set columns = [] %}
    {% for column in format.columns.values() %}
        {% set path = names.get(column.name, path_of(column)) %}
        {% set is_mark = true if column.config and column.config.meta.is_mark else false %}
        {% do columns.append({
            'name': column.name,
            'data_type': column.data_type,
            'config': {'meta': {'path': path, 'is_mark': is_mark}},
        }) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}

{% macro sort_log_files(var_name, files) %}
    {% set found = list_log_files(var(var_name)) if var(var_name) else [] %}
    {% if not found %}
        {{ exceptions.raise_compiler_error(
            var_name ~ " names no file: '" ~ var(var_name)
            ~ "' (expected a file, a glob, or a folder with .ndjson, .parquet or .csv files,"
            ~ ' plain, .gz or .zst).'
        ) }}
    {% endif %}
    {% for file in found %}
        {% set plain = file | lower | replace('.gz', '') | replace('.zst', '') %}
        {% set kind = 'parquet' if plain.endswith('.parquet')
            else 'csv' if plain.endswith('.csv') else 'ndjson' %}
        {% if file not in files[kind] %}
            {% do files[kind].append(file) %}
        {% endif %}
    {% endfor %}
{% endmacro %}

{% macro duckdb_file_list(files) -%}
    [{% for file in files %}'{{ file | replace("'", "''") }}'{{ ', ' if not loop.last }}{% endfor %}]
{%- endmacro %}

{#
    Text is read line by line, unparsed, so that one bad line never costs its neighbours. Lines
    that DuckDB itself cannot read come from raw.unreadable_rows, where the start of the run put
    them; row_index and row_tie together are the order of the lines in the log.
#}
{% macro duckdb_text_lines(files) %}
    select
        source_file,
        row_number() over () as row_index,
        cast(0 as bigint) as row_tie,
        line,
        cast(null as varchar) as read_error
    from read_csv({{ duckdb_file_list(files) }}, {{ duckdb_line_reader() }}, ignore_errors = true)
    union all
    select source_file, row_index, row_tie, line, read_error
    from raw.unreadable_rows
    where is_line
{% endmacro %}

{#
    The fields of documents, one JSON text a line or one row of a Parquet file, absent ones null.
    A dump may be `index name, tab, document`; the bulk format puts the index on a line of its own,
    which is half of the line that follows, and no row.
#}
{% macro duckdb_raw_documents(files, columns) %}
    {% set tabbed_index = "'^([A-Za-z0-9_.-]+)\t'" %}
    select *
    from (
        select
            {{ duckdb_no_rows(columns) }},
            cast(null as varchar) as index_name,
            cast(null as varchar) as document
        where false
        {{ duckdb_parquet_rows(files.parquet, columns) }}
        {% if files.ndjson %}
            union all by name
            select
                source_file,
                row_number,
                coalesce(nullif(regexp_extract(line, {{ tabbed_index }}, 1), ''), preceding_action)
                    as index_name,
                document,
                {{ duckdb_spelt_fields(columns) | indent(16) }}
            from (
                select
                    *,
                    case
                        when read_error is null then {{ duckdb_json_fields('document', columns) }}
                    end as fields
                from (
                    select
                        *,
                        regexp_replace(line, {{ tabbed_index }}, '') as document,
                        row_number() over (
                            partition by source_file order by row_index, row_tie
                        ) as row_number,
                        lag(action) over (
                            partition by source_file order by row_index, row_tie
                        ) as preceding_action
                    from (
                        select
                            *,
                            {# Fields are read after the rows are in order, which carry less. #}
                            case
                                when read_error is null and contains(line, '_index')
                                    then {{ duckdb_bulk_action(
                                        'regexp_replace(line, ' ~ tabbed_index ~ ", '')", columns
                                    ) }}
                            end as action
                        from ({{ duckdb_text_lines(files.ndjson) }}) as text_lines
                    ) as marked
                ) as numbered
            ) as parsed
            where action is null
        {% endif %}
    ) as all_rows
{% endmacro %}

{#
    Each declared column, absent ones null. One that is no text comes twice: as a Parquet file
    types it, and with _text as it is spelt; what the spelling means is decided in staging.
#}
{% macro duckdb_raw_rows(files, columns) %}
    select *
    from (
        select
            {{ duckdb_no_rows(columns) }},
            cast(null as varchar) as unread_text
        where false
        {{ duckdb_parquet_rows(files.parquet, columns) }}
        {% if files.csv or files.ndjson %}
            union all by name
            select
                * exclude (row_index, row_tie),
                row_number() over (
                    partition by source_file order by row_index, row_tie
                ) as row_number
            from ({{ duckdb_spelt_rows(files, columns) }}) as spelt_rows
        {% endif %}
    ) as all_rows
{% endmacro %}

{# Rows of text files with their place, nothing read but the columns; lines of CSV and JSON. #}
{% macro duckdb_spelt_rows(files, columns) %}
    select
        cast(null as varchar) as source_file,
        cast(null as bigint) as row_index,
        cast(null as bigint) as row_tie
    where false
    {% for dialect in files.csv_dialects %}
        union all by name
        select
            source_file,
            row_number() over () as row_index,
            cast(0 as bigint) as row_tie,
            {% for column in columns if path_of(column) | lower in dialect.columns %}
                "{{ path_of(column) | lower }}" as {{ spelt_name(column) }},
            {% endfor %}
            case when unexpected_value is not null then 'malformed_csv' end as read_error
        from read_csv(
            {{ duckdb_file_list(dialect.files) }}, {{ duckdb_csv_reader(dialect) }},
            ignore_errors = true
        )
    {% endfor %}
    {% if files.csv %}
        union all by name
        select source_file, row_index, row_tie, read_error, line as unread_text
        from raw.unreadable_rows
        where not is_line
    {% endif %}
    {% if files.ndjson %}
        union all by name
        select
            source_file,
            row_index,
            row_tie,
            {{ duckdb_spelt_fields(columns) | indent(12) }},
            case when fields is null then line end as unread_text
        from (
            select
                *,
                case
                    when read_error is null then {{ duckdb_json_fields('line', columns) }}
                end as fields
            from ({{ duckdb_text_lines(files.ndjson) }}) as text_lines
        ) as parsed
    {% endif %}
{% endmacro %}

{# Names and types of what a reader shows. #}
{% macro duckdb_no_rows(columns) -%}
    cast(null as varchar) as source_file,
    cast(null as bigint) as row_number,
    cast(null as varchar) as read_error
    {%- for column in columns %},
    cast(null as {{ column.data_type }}) as "{{ column.name }}"
        {%- if column.data_type != 'varchar' %},
    cast(null as varchar) as {{ spelt_name(column) }}
        {%- endif %}
    {%- endfor %}
{%- endmacro %}

{# Rows of Parquet files, one branch of a union for each schema. #}
{% macro duckdb_parquet_rows(files, columns) %}
    {% for group in duckdb_parquet_groups(files) %}
        union all by name
        select
            source_file,
            {% for column in columns %}
                {% set found = duckdb_typed_column(column, group.columns) %}
                {{ found ~ ',' if found }}
            {% endfor %}
            file_row_number + 1 as row_number
        from read_parquet(
            {{ duckdb_file_list(group.files) }},
            filename = 'source_file', file_row_number = true
        )
    {% endfor %}
{% endmacro %}

{# The declared fields of a JSON text as a list of strings, parsed once; null where it is no JSON. #}
{% macro duckdb_json_fields(text, columns) -%}
    case
        when json_valid({{ text }})
            then json_extract_string({{ text }}, [
                {%- for column in columns %}
                '$.{{ path_of(column) }}'{{ ',' if not loop.last }}
                {%- endfor %}
            ])
    end
{%- endmacro %}

{# What `fields` of a line hold, each under the name of its spelling, or why there are none. #}
{% macro duckdb_spelt_fields(columns) -%}
    {%- for column in columns -%}
        fields[{{ loop.index }}] as {{ spelt_name(column) }},
    {% endfor -%}
    case
        when line is null or trim(line) = '' then 'blank_line'
        when fields is null then coalesce(read_error, 'malformed_json')
    end as read_error
{%- endmacro %}

{# The index that a bulk action names: a JSON text with none of the format's marks in it. #}
{% macro duckdb_bulk_action(text, columns) -%}
    case
        when json_valid({{ text }}) and coalesce(
            {%- for column in columns if column.config.meta.is_mark %}
            json_extract_string({{ text }}, '$.{{ path_of(column) }}'),
            {%- endfor %}
            null
        ) is null
            then coalesce(
                json_extract_string({{ text }}, '$.index._index'),
                json_extract_string({{ text }}, '$.create._index')
            )
    end
{%- endmacro %}

{# Where a declared field stands in a document: under its name, if it does not say. #}
{% macro path_of(column) -%}
    {{ column.config.meta.path if column.config and column.config.meta.path else column.name }}
{%- endmacro %}

{# Where the spelling of a column's values goes. #}
{% macro spelt_name(column) -%}
    {{ '"' ~ column.name ~ '"' if column.data_type == 'varchar' else column.name ~ '_text' }}
{%- endmacro %}

{#
    A field of a Parquet file as it is declared, where its own type says the same; else spelt out.
    Nothing where the file does not have it. Within maps and JSON it is read as JSON.
#}
{% macro duckdb_typed_column(column, found) -%}
    {%- set integers = [
        'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'UTINYINT', 'USMALLINT', 'UINTEGER'
    ] -%}
    {%- set alike = {
        'varchar': [],
        'varchar[]': ['VARCHAR[]', 'BIGINT[]', 'INTEGER[]'],
        'timestamp': [
            'TIMESTAMP', 'TIMESTAMP_S', 'TIMESTAMP_MS', 'TIMESTAMP_NS', 'TIMESTAMP WITH TIME ZONE'
        ],
        'bigint': integers,
        'double': integers + ['FLOAT', 'DOUBLE'],
        'boolean': ['BOOLEAN'],
    } -%}
    {%- set path = path_of(column) | lower -%}
    {%- set parts = path.split('.') -%}
    {%- if path in found -%}
        {%- set field = '"' ~ parts | join('"."') ~ '"' -%}
        {%- if found[path] in alike[column.data_type] -%}
            cast({{ field }} as {{ column.data_type }}) as "{{ column.name }}"
        {%- elif column.data_type.endswith('[]') -%}
            cast(to_json({{ field }}) as varchar) as {{ spelt_name(column) }}
        {%- else -%}
            cast({{ field }} as varchar) as {{ spelt_name(column) }}
        {%- endif -%}
    {%- else -%}
        {%- for n in range(1, parts | length) -%}
            {%- set outer = parts[:n] | join('.') -%}
            {%- if found.get(outer, '').startswith(('MAP(', 'JSON')) -%}
                json_extract_string(
                    to_json("{{ parts[:n] | join('"."') }}"), '$.{{ parts[n:] | join('.') }}'
                ) as {{ spelt_name(column) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{% macro list_feature_files() %}
    {% set features = list_log_files(var('ranking_features')) if var('ranking_features') else [] %}
    {% if var('ranking_features') and not features %}
        {{ exceptions.raise_compiler_error(
            'ranking_features names no file: ' ~ var('ranking_features')
            ~ ' (a Parquet file with query, doc_id and numeric columns, or an empty var).'
        ) }}
    {% endif %}
    {{ return(features) }}
{% endmacro %}

{% macro duckdb_ranking_features(files) %}
    select *
    from (
        select cast(null as varchar) as query, cast(null as varchar) as doc_id
        where false
        {% if files %}
            union all by name
            select * from read_parquet({{ duckdb_file_list(files) }}, union_by_name = true)
        {% endif %}
    ) as ranking_features
{% endmacro %}
