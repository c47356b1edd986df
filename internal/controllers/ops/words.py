"""What the operations page says, in the service's two languages."""

from collections.abc import Mapping

from internal.core.errors import Text

WORDS: Mapping[str, Text] = {
    "title": Text("Operations", "运维"),
    "skip": Text("Skip to the content", "跳到正文"),
    "sign_in": Text("Log in", "登录"),
    "sign_out": Text("Log out", "退出登录"),
    "username": Text("Username", "用户名"),
    "password": Text("Password", "密码"),
    "admins": Text("For administrators.", "仅限管理员。"),
    "back": Text("Back to the page", "返回页面"),
    "trace": Text("Trace id", "追踪 ID"),
    "refresh_on": Text("Refresh every 10 seconds", "每 10 秒刷新"),
    "refresh_off": Text("Stop refreshing", "停止自动刷新"),
    "refresh_now": Text("Refresh now", "立即刷新"),
    "health": Text("Health", "健康状况"),
    "part": Text("Part", "组件"),
    "state": Text("State", "状态"),
    "traffic": Text("Requests, the last 15 minutes", "最近 15 分钟的请求"),
    "rate": Text("Requests a second", "每秒请求数"),
    "latency": Text("95th percentile, milliseconds at most", "第 95 百分位，至多（毫秒）"),
    "newest": Text("newest", "最新"),
    "highest": Text("highest", "最高"),
    "no_data": Text("Nothing yet.", "暂无数据。"),
    "not_counted": Text(
        "METRICS_ENABLED is off: nothing is counted.", "METRICS_ENABLED 已关闭：不计数。"
    ),
    "all_processes": Text(
        "Figures of this replica alone, all its processes:", "仅本副本的数据，含全部进程："
    ),
    "one_process": Text(
        "Figures of one process of this replica alone; there are",
        "仅本副本一个进程的数据；进程数：",
    ),
    "answered_by": Text("answered by process", "应答进程"),
    "slowest": Text("Slowest routes, the last 15 minutes", "最近 15 分钟最慢的路由"),
    "route": Text("Route", "路由"),
    "requests": Text("Requests", "请求数"),
    "mean": Text("Mean, ms", "平均（毫秒）"),
    "pools": Text("Pools", "连接池"),
    "pool": Text("Pool", "连接池"),
    "in_use": Text("In use", "使用中"),
    "size": Text("Size", "大小"),
    "pool_note": Text("Of the process that answered.", "应答进程的数据。"),
    "queues": Text("Queues", "队列"),
    "queue": Text("Queue", "队列"),
    "jobs": Text("Jobs", "任务数"),
    "lag": Text("Outbox lag, seconds", "发件箱延迟（秒）"),
    "leader": Text("Scheduler's leader", "调度器主节点"),
    "nobody": Text("nobody", "无"),
    "dead": Text("Dead jobs", "死信任务"),
    "job": Text("Job", "任务"),
    "kind": Text("Kind", "类型"),
    "error": Text("Error", "错误"),
    "attempts": Text("Attempts", "尝试次数"),
    "action": Text("Action", "操作"),
    "retry": Text("Retry", "重试"),
    "errors": Text("Recent errors of this process", "本进程最近的错误"),
    "time": Text("Time (UTC)", "时间（UTC）"),
    "type": Text("Type", "类型"),
    "version": Text("Version", "版本"),
}
