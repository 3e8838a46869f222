"""The path of `SignInMiddleware` for `MIDDLEWARE`; the code is in `realtime.control.sign_ins`."""

from .control.sign_ins import SignInMiddleware as SignInMiddleware
