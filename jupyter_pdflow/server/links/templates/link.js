const page = document.getElementById("page");
const result = document.getElementById("result");
// What the pause asks, on the page of one that asks.
const about = document.getElementById("about");
// The element around the form. The form itself has the link's fields as properties: with a field
// that is named "hidden", `form.hidden` is that field.
const action = document.getElementById("action");
const UNREACHABLE = "The server could not be reached. Nothing is known to have changed; try again.";
const NOT_OURS = "Something between you and the server answered in its place.";
const MAX_KEEPALIVE_LENGTH = 60000; // browsers limit keepalive requests to 64 KiB
const TIMEOUT_MS = 60000;
const INVALID_ANSWER = 422;
const firstMessage = result.querySelector("p")?.textContent ?? "";

function showText(state, heading, message) {
  const title = document.createElement("h1");
  const paragraph = document.createElement("p");
  title.textContent = heading;
  paragraph.textContent = message;
  page.dataset.state = state;
  result.replaceChildren(title, paragraph);
}

/** Show a part of the page that the server has answered with, or nothing if that has no such part. */
function showPart(element, answer) {
  const nodes = answer.getElementById(element.id)?.childNodes ?? [];
  element.replaceChildren(...nodes);
  showLocalTimes(element);
}

/** Show the content of a page that the server answered with. */
function showAnswer(answer) {
  page.dataset.state = answer.getElementById("page").dataset.state;
  document.title = answer.title;
  showPart(result, answer);
}

/** Show the form again with what is wrong in it. */
function showErrors(answer) {
  showPart(action, answer);
  action.hidden = false;
  action.querySelector("[aria-invalid], [role=alert]")?.focus();
}

function offerRetry() {
  // The form's button replaces the link that reloads the page: it keeps the note.
  for (const link of result.querySelectorAll(".again")) {
    link.parentNode.remove();
  }
  if (!about) {
    action.querySelector("button").textContent = "Try again";
  }
  action.hidden = false;
}

/** Whether the same request may succeed later, or with a shorter note. */
function isTemporary(status) {
  return status >= 500 || status === 413 || status === 429;
}

/** Send the form; return the status and the page, null if another program such as a proxy answered. */
async function send(button) {
  const body = new URLSearchParams(new FormData(button.form)).toString();
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(button.formAction, {
      method: "POST",
      headers: {
        "Accept": "text/html",
        "Content-Type": "application/x-www-form-urlencoded",
        "X-PDFlow-Page": "1",
      },
      body,
      cache: "no-store",
      keepalive: body.length < MAX_KEEPALIVE_LENGTH, // goes through when the person closes the page
      signal: controller.signal,
    });
    const answer = new DOMParser().parseFromString(await response.text(), "text/html");
    const isOurs = answer.getElementById("page") !== null;
    return { answer: isOurs ? answer : null, status: response.status };
  } finally {
    clearTimeout(timer);
  }
}

function show({ answer, status }) {
  if (!answer) {
    showText("failed", "That did not work", NOT_OURS);
    offerRetry();
    return;
  }
  showAnswer(answer);
  if (isTemporary(status)) {
    offerRetry();
  } else if (status === INVALID_ANSWER) {
    showErrors(answer);
  } else if (about) {
    showPart(about, answer);
  }
}

async function act(button) {
  if (action.hidden) {
    return; // the form is being sent, or was sent
  }
  action.hidden = true;
  showText("busy", button.dataset.progress, firstMessage);
  try {
    show(await send(button));
  } catch {
    showText("failed", "That did not work", UNREACHABLE);
    offerRetry();
  }
}

showLocalTimes(page);
// A page from the browser's back-forward cache may show an old state.
addEventListener("pageshow", (event) => event.persisted && location.reload());
if (action) {
  const firstButton = action.querySelector("button");
  action.addEventListener("submit", (event) => {
    event.preventDefault();
    act(event.submitter ?? action.querySelector("button"));
  });
  if ("acts" in action.dataset && document.prerendering) {
    // A prerendered page must not act before the person opens it.
    document.addEventListener("prerenderingchange", () => act(firstButton), { once: true });
  } else if ("acts" in action.dataset) {
    act(firstButton);
  }
}
