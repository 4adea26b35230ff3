// Loaded into the suite's origin server before its own code. That server listens on every interface of the machine;
// this keeps it on the loopback one.
'use strict'

const net = require('node:net')

const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port: Number(port), host: '127.0.0.1' }, ...rest)
}
