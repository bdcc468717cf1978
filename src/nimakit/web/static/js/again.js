// What is being computed is there in a moment: look again.

setTimeout(() => location.reload(), 3000);
