from hypothesis import HealthCheck, settings

# A machine that is busy with something else must not decide a test.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
