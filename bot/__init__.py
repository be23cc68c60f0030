"""前台 bot: the front door: channels, reception, assembly, command line.

The top room: it may import every other. Its errors::

    BotError
    ├── ConfigError          config.toml or the environment is wrong; says which key and what to do
    ├── PortInUse            the address of ``serve`` is taken
    ├── SignatureRejected    a callback that cannot prove where it comes from (403)
    ├── DatabaseUnusable     the database cannot be opened or was written by a newer program
    ├── MalformedMessage     a callback that is not in the channel's form (400)
    ├── ThinkerDied          processes that look up answers died twice over one message
    ├── WeChatRefused        WeChat's API answered with an error code
    ├── WeChatUnreachable    WeChat's API did not answer
    ├── UnreadableMail       a mail that cannot be read; kept for a person
    ├── MailServerProblem    a mail server did not answer or refused
    └── UnknownMail          the mailbox holds no such mail
"""
