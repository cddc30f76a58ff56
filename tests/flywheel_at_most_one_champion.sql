with model_versions as (
    select * from {{ ref('dim_model_versions') }}
)

select count(*) as n_champions
from model_versions
where state = 'champion'
having count(*) > 1
