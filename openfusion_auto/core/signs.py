"""What makes an agent's action dangerous, as data: what a command line begins with, what SQL says, which places matter.

Every pattern is matched against lower case text. `actions.py` says where each is looked for. Levels follow the labels
that the reader is trained on: rights, secrets, live systems and lost data are high, what a commit can undo is medium.
"""

from __future__ import annotations

import re

from openfusion_auto.core.types import Level

# What a command says from its program on, one blank between words: risk, name, what is reported, pattern.
_RUN: tuple[tuple[Level, str, str, str], ...] = (
    (
        "high", "rewrites history", "git push --force",
        r"git (?:-\S+ \S+ )*push\b.*(?: --force| -\w*f\w*| --mirror| \+\S+)(?: |$)",
    ),
    (
        "high", "rewrites history", "git push --force-with-lease",
        r"git (?:-\S+ \S+ )*push\b(?=.*--force-with-lease).*\b(?:main|master|trunk|prod\w*|release\S*)(?: |$)",
    ),
    (
        "medium", "rewrites history", "git push --force-with-lease",
        r"git (?:-\S+ \S+ )*push\b.*--force-with-lease",
    ),
    (
        "high", "rewrites history", "git filter-branch",
        r"(?:git filter-(?:branch|repo)|git-filter-repo|bfg)\b",
    ),
    (
        "medium", "throws work away", "git reset --hard",
        (r"git (?:-\S+ \S+ )*(?:reset\b.* --hard|clean -\w*f|checkout (?:-- )?\.$|stash (?:drop|clear)|"
        r"push\b.*(?: --delete| :\S+)(?: |$))"),
    ),
    (
        "high", "changes infrastructure", "terraform apply",
        (r"(?:terraform|tofu|terragrunt)(?: -\S+)* (?:run-all )?(?:apply|destroy|import|taint|state (?:rm|mv|"
        r"push))\b"),
    ),
    (
        "high", "changes infrastructure", "pulumi up",
        (r"(?:pulumi|cdk|serverless|sls|sst|eksctl|ansible-playbook)\b(?: -\S+)* ?(?:up|destroy|deploy|remove|"
        r"delete)\b|ansible-playbook\b(?!.* (?:--check|-c|--syntax-check))"),
    ),
    (
        "high", "changes infrastructure", "kubectl",
        (r"(?:kubectl|oc)(?: -\S+(?: [^-\s]\S*)?)*? (?:delete|drain|apply|scale|replace|patch|cordon|"
        r"rollout (?:undo|restart)|set image)(?: |$)(?!.*--dry-run)"),
    ),
    (
        "high", "changes infrastructure", "helm upgrade",
        r"helm (?:upgrade|uninstall|delete|rollback|install)\b(?!.* --dry-run)",
    ),
    (
        "high", "changes infrastructure", "aws",
        (r"aws(?: --\S+ \S+)* [\w-]+ (?:delete|terminate|remove|put|modify|update|revoke|authorize|attach|"
        r"detach|reboot|stop)-[\w-]+"),
    ),
    (
        "high", "changes infrastructure", "gcloud",
        (r"(?:gcloud|az|doctl|flyctl|fly|heroku)\b.* (?:delete|destroy|deploy|apps:destroy|pg:reset|"
        r"set-iam-policy|add-iam-policy-binding)(?: |$)"),
    ),
    (
        "high", "deletes files", "aws s3 rm",
        (r"(?:aws s3 (?:rm|rb)\b|aws s3 sync\b.* --delete|gsutil(?: -\S+)* (?:rm|rb)\b|rclone (?:delete|purge|"
        r"sync)\b|rsync\b.* --delete)"),
    ),
    (
        "high", "deletes files", "shred",
        r"(?:shred|wipefs|srm) |find\b.* (?:-delete|-exec rm)\b",
    ),
    (
        "high", "drops data", "flushall",
        r"redis-cli\b.* flush(?:all|db)\b",
    ),
    (
        "high", "drops data", "mkfs",
        (r"mkfs(?:\.\w+)? |mkswap |dd\b.* of=/dev/|format [a-z]:|diskpart\b|clear-disk\b|format-volume\b|"
        r"parted /dev"),
    ),
    (
        "high", "drops data", "drops a database",
        (r"dropdb |mysqladmin\b.* drop\b|(?:rails|rake|bin/rails)\b.* db:(?:drop|reset|schema:load)|"
        r"(?:php )?artisan migrate:(?:fresh|reset)|(?:prisma|npx prisma) (?:migrate reset|"
        r"db push\b.*--force-reset|db push\b.*--accept-data-loss)|(?:\S* )?manage\.py flush\b|docker(?:-|"
        r" )compose\b.* down\b.* (?:-v|--volumes)(?: |$)|docker (?:volume (?:rm|prune)|"
        r"system prune\b.* --volumes)"),
    ),
    (
        "medium", "migrations", "runs migrations",
        (r"alembic (?:upgrade|downgrade|stamp)|(?:\S* )?manage\.py migrate\b|(?:rails|rake)\b.* db:(?:migrate|"
        r"rollback)|flyway\b.* (?:migrate|clean|repair)|liquibase\b.* update|(?:knex|sequelize(?:-cli)?|"
        r"typeorm|drizzle-kit|prisma)\b.* (?:migrate\S*|migration:run|db:migrate|push)\b|"
        r"(?:php )?artisan migrate\b|dotnet ef database update|goose\b.* (?:up|down)\b|diesel migration run"),
    ),
    (
        "high", "changes rights", "chmod 777",
        r"chmod\b.* (?:0?777|a\+rwx|o\+w)\b|chown -\w*r|setfacl |icacls\b.* /grant|takeown ",
    ),
    (
        "high", "publishes", "publishes a package",
        (r"(?:npm|pnpm|yarn|bun|cargo|poetry|uv|hatch|flit|vsce|gem|"
        r"dart pub)(?: npm)? publish\b(?!.* --dry-run)|twine upload|gem push|dotnet nuget push|"
        r"mvn\b.* deploy\b|gh release (?:create|delete)|(?:docker|podman) push "),
    ),
    (
        "high", "stops a machine", "shutdown",
        (r"(?:shutdown|reboot|halt|poweroff|init 0|stop-computer|restart-computer)(?: |$)|systemctl (?:stop|"
        r"disable|mask|restart) |service \S+ (?:stop|restart)|kill(?:all)? -9 (?:-1|1)$"),
    ),
    (
        "high", "runs what it downloads", "curl | sh",
        r"(?:iex|invoke-expression)\b.*(?:http|iwr|irm|downloadstring)",
    ),
    (
        "high", "secrets", "reads a secret",
        (r"(?:vault (?:kv|read|write|delete)|aws secretsmanager|aws ssm get-parameter|gcloud secrets|op read|"
        r"kubectl\b.* get secrets?\b|gpg --export-secret|security find-generic-password)"),
    ),
    (
        "high", "access control", "changes accounts",
        (r"(?:useradd|userdel|usermod|passwd|visudo|adduser|deluser|net user|net localgroup|ufw (?:allow|"
        r"disable)|iptables (?:-f|-p)|setenforce 0|aws iam (?:create|attach|put|delete|update)-\S+)"),
    ),
    (
        "high", "drops data", "restores over data",
        (r"(?:pg_restore|mongorestore)\b.* (?:--clean|--drop)|(?:crontab -r|git lfs prune|vgremove|lvremove|"
        r"zfs destroy|zpool destroy)"),
    ),
)  # fmt: skip
COMMANDS = tuple((level, name, why, re.compile(pattern)) for level, name, why, pattern in _RUN)

# -- SQL and its like --------------------------------------------------------------------------------------------------

LOSES_ROWS = re.compile(
    r"\bdrop\s+(?:table|database|schema|index|column|role|user|view)\b|\btruncate\s+(?:table\s+)?[\w\".`]+"
    r"|\balter\s+table\b[^;]*\bdrop\b|\bdelete\s+from\s+[\w\".`]+\s*(?:;|[\"']?\s*$|where\s+(?:1\s*=\s*1|true))"
    r"|\bupdate\s+[\w\".`]+\s+set\b(?![^;]*\bwhere\b)|\.(?:dropdatabase|drop|deletemany|remove)\("
)
GIVES_RIGHTS = re.compile(
    r"\b(?:grant|revoke)\s+[\w, ]+\s+(?:on|to|from)\b|\balter\s+(?:user|role)\b"
)
# Programs that take such statements as words or input.
CLIENTS = re.compile(
    r"\b(?:psql|mysql|mariadb|sqlite3|sqlcmd|mongosh?|cockroach|clickhouse(?:-client)?|duckdb|bq|snowsql|cqlsh|"
    r"wrangler d1|dbshell|supabase db|isql|sqlplus|turso|db execute|rails (?:r|runner|dbconsole))\b"
)

# -- files -------------------------------------------------------------------------------------------------------------

# What is made again by the next build or test run, or was made for a moment.
MADE = re.compile(
    r"(?:^|/)(?:node_modules|__pycache__|dist|build|target|out|coverage|htmlcov|bin|obj|tmp|temp|logs?|venv|env|"
    r"cdk\.out|deriveddata|pods|vendor/bundle|\.\w*cache\w*|\.(?:venv|tox|nox|next|nuxt|turbo|gradle|terraform|"
    r"parcel-cache|angular|svelte-kit|eggs|coverage|vite|expo|nyc_output))(?:/\S*)?$"
    r"|^\$\{?te?mp|\.(?:pyc|o|log|tmp|orig|bak|egg-info)/?$|cmakefiles/?$"
)
# Beyond the folder that is worked in, or all of it.
FAR = re.compile(r"^(?:/|~|\w:|\$|%|\.\.?/?$|\.\./|\*|\./\*)")
ACCESS = re.compile(
    r"(?:^|[/_.-])(?:auth[nz]?|authentication|authori[sz]ation|permissions?|acl|rbac|oauth2?|iam|sso|saml|"
    r"password_reset|sudoers(?:\.d)?)(?:[/_.-]|$)"
)
MIGRATIONS = re.compile(r"(?:^|/)(?:migrations?|alembic|flyway|db/migrate|liquibase)/")
PIPELINES = re.compile(
    r"(?:^|/)(?:\.github/(?:workflows|actions)/|\.gitlab-ci\.ya?ml|jenkinsfile|\.circleci/|"
    r"azure-pipelines[\w.-]*\.ya?ml|bitbucket-pipelines\.yml|\.buildkite/|\.drone\.yml)"
)
SECRETS = re.compile(
    r"(?:^|/)(?:\.env(?:\.\w+)?|\.envrc|id_(?:rsa|ed25519|ecdsa|dsa)|[\w.-]+\.(?:pem|p12|pfx|key|jks|keystore)|"
    r"\.netrc|\.pgpass|\.npmrc|\.pypirc|credentials(?:\.json)?|service[-_]account[\w-]*\.json|kubeconfig|"
    r"\.kube/config|\.aws/\w+|secrets?\.(?:ya?ml|json|toml|env)|/etc/shadow)$"
)
HARMLESS_PLACE = re.compile(
    r"example|sample|template|\.dist$|\.pub$|fixture|(?:^|/)(?:tests?|docs?|node_modules|specs?)/"
)

# -- a quick look: a line without any of these holds no sign -----------------------------------------------------------

TRIGGER = re.compile(
    r"rm\b|rmdir|rd\b|del\b|erase|remove|rimraf|unlink|\bri\b|trash|push|filter-|bfg|reset|clean|checkout|stash|terra|tofu|"
    r"pulumi|cdk|serverless|sls|sst|eksctl|ansible|kubectl|\boc\b|helm|aws|gcloud|\baz\b|doctl|fly|heroku|gsutil|rclone|"
    r"rsync|shred|wipefs|srm|delete|flush|mkfs|mkswap|\bdd\b|format|disk|drop|parted|down|volume|prune|migrat|alembic|"
    r"rails|rake|liquibase|knex|sequelize|typeorm|prisma|drizzle|dotnet|goose|diesel|chmod|chown|setfacl|icacls|takeown|"
    r"publish|upload|release|deploy|shutdown|reboot|halt|poweroff|init|computer|systemctl|service|kill|curl|wget|iex|"
    r"iwr|irm|invoke|vault|secret|ssm|\bop\b|gpg|security|user|passwd|visudo|localgroup|ufw|iptables|setenforce|restore|"
    r"crontab|lvremove|vgremove|zfs|zpool|truncate|alter|grant|revoke|update|auth|perm|acl|rbac|iam|sso|saml|sudoers|"
    r"\.env|id_|\.pem|\.p12|\.pfx|\.key|\.jks|keystore|netrc|pgpass|npmrc|pypirc|credential|kube|shadow|\.github|gitlab|"
    r"jenkins|circleci|pipelines|buildkite|\.drone|password_reset"
)  # fmt: skip
