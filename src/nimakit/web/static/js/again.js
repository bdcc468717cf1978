// Reload until the statistics have been computed.

setTimeout(() => location.reload(), 3000);
