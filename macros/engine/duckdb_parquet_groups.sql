{#
    Parquet files by schema. Each group is read apart: where two files disagree about a column's
    type, a reader of both fails on whichever it reads second; and a document's text must not
    depend on which files happen to be read beside its own. Fields of structs are columns too, under
    their path.
#}
{% macro duckdb_parquet_groups(files) %}
    {% set groups = {} %}
    {% if files %}
        {% set schemas = run_query(
            "select file_name, md5(string_agg(coalesce(name, '') || ':' || coalesce(type, '') "
            ~ "|| ':' || coalesce(cast(num_children as varchar), '') "
            ~ "|| ':' || coalesce(converted_type, '') || ':' || coalesce(logical_type, ''), ',')) "
            ~ 'from parquet_schema(' ~ duckdb_file_list(files) ~ ') '
            ~ 'group by file_name order by file_name'
        ) %}
        {% for row in schemas.rows %}
            {% if row[1] not in groups %}
                {% set described = run_query(
                    'describe select * from read_parquet(' ~ duckdb_file_list([row[0]]) ~ ')'
                ) %}
                {% set columns = {} %}
                {% for column in described.rows %}
                    {% do columns.update({column[0] | lower: column[1]}) %}
                    {% if column[1].startswith('STRUCT(') %}
                        {% set nested = run_query(
                            'describe select unnest("' ~ column[0]
                            ~ '", recursive := true, keep_parent_names := true) from read_parquet('
                            ~ duckdb_file_list([row[0]]) ~ ')'
                        ) %}
                        {% for leaf in nested.rows %}
                            {% do columns.update({(column[0] ~ '.' ~ leaf[0]) | lower: leaf[1]}) %}
                        {% endfor %}
                    {% endif %}
                {% endfor %}
                {% do groups.update({row[1]: {'files': [], 'columns': columns}}) %}
            {% endif %}
            {% do groups[row[1]].files.append(row[0]) %}
        {% endfor %}
    {% endif %}
    {{ return(groups.values() | list) }}
{% endmacro %}
