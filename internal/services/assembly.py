"""Which service is made of what."""

from dataclasses import dataclass
from datetime import timedelta

from redis.asyncio import Redis

from internal.config.secrets import Keyring
from internal.config.settings import AppEnv, Settings, split_secrets
from internal.core.tokens import TokenSigner
from internal.infra.export_files import ExportFiles
from internal.infra.metrics import Metrics
from internal.infra.outgoing_http import OutgoingHttp
from internal.services.accounts import Accounts
from internal.services.audit import Audit
from internal.services.clients import Clients
from internal.services.exports import Exports
from internal.services.idempotency import Idempotency
from internal.services.jobs.service import Jobs
from internal.services.kinds import KINDS
from internal.services.login_lock import LoginLock
from internal.services.passwords import PasswordHasher
from internal.services.sessions import OPERATOR_HOURS, Sessions
from internal.services.signed_requests import SignedRequests
from internal.services.unit_of_work import UnitOfWork
from internal.services.users import Users
from internal.services.webhook_endpoints import WebhookEndpoints


@dataclass(frozen=True)
class Services:
    """The business of the house."""

    accounts: Accounts
    audit: Audit
    clients: Clients
    exports: Exports
    idempotency: Idempotency
    jobs: Jobs
    outgoing_http: OutgoingHttp
    sessions: Sessions
    signed_requests: SignedRequests
    unit_of_work: UnitOfWork
    users: Users
    webhook_endpoints: WebhookEndpoints


def assemble_services(
    settings: Settings, unit_of_work: UnitOfWork, redis: Redis, metrics: Metrics | None = None
) -> Services:
    keys = Keyring.parse(
        settings.aes_secret.get_secret_value(), split_secrets(settings.aes_secret_previous)
    )
    hasher = PasswordHasher()
    sessions = Sessions(
        unit_of_work,
        _signer(
            settings,
            settings.jwt_audience,
            timedelta(minutes=settings.access_token_expire_minutes),
        ),
        _signer(settings, f"{settings.jwt_audience}/ops", timedelta(hours=OPERATOR_HOURS)),
        timedelta(days=settings.refresh_token_expire_days),
    )
    signed_requests = SignedRequests(unit_of_work, redis, keys)
    require_https = settings.app_env is AppEnv.PROD
    return Services(
        accounts=Accounts(
            unit_of_work,
            hasher,
            LoginLock(redis),
            sessions,
            registration_enabled=_registration_enabled(settings),
        ),
        audit=Audit(unit_of_work),
        clients=Clients(unit_of_work, keys, signed_requests.forget),
        exports=Exports(
            ExportFiles(settings.export_dir or settings.data_dir / "exports"), unit_of_work
        ),
        idempotency=Idempotency(unit_of_work, keys),
        jobs=Jobs(unit_of_work, KINDS),
        outgoing_http=OutgoingHttp(settings.webhook_allowed_networks, require_https=require_https),
        sessions=sessions,
        signed_requests=signed_requests,
        unit_of_work=unit_of_work,
        users=Users(unit_of_work, hasher, sessions),
        webhook_endpoints=WebhookEndpoints(
            unit_of_work, keys, redis, metrics, require_https=require_https
        ),
    )


def _signer(settings: Settings, audience: str, lifetime: timedelta) -> TokenSigner:
    return TokenSigner(
        [settings.jwt_secret.get_secret_value(), *split_secrets(settings.jwt_secret_previous)],
        algorithm=settings.jwt_algorithm,
        issuer=settings.jwt_issuer,
        audience=audience,
        lifetime=lifetime,
    )


def _registration_enabled(settings: Settings) -> bool:
    if settings.registration_enabled is not None:
        return settings.registration_enabled
    return settings.app_env in (AppEnv.LOCAL, AppEnv.TEST)
