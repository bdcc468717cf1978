// Reload the page until its figures are computed.

setTimeout(() => location.reload(), 3000);
