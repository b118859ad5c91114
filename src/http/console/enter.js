// The token of a link is in the address behind the `#`, which no browser sends to a server. It is posted, and taken out of the address,
// so that it stays in no history.
const field = document.querySelector('input[name=token]');
const token = location.hash.slice(1);
if (field && token) {
  history.replaceState(null, '', location.pathname + location.search);
  field.value = token;
  field.form.submit();
}
