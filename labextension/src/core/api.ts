// Made from jupyter_pdflow/server/api/openapi.yaml by `jlpm api`.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
  schemas: {
    /** @description Why a step failed. */
    StepError: {
      /** @description The class and the message of the exception. */
      message: string;
      /** @description The name of the exception's class. */
      ename: string;
      /** @description The exception's message. */
      evalue: string;
      /** @description The lines of the frames in the author's code. */
      traceback: string[];
      /** @description The step that failed. */
      step: string | null;
    };
    /** @description A step of a run in a list, without its exports. */
    StepItem: {
      name: string;
      status: components['schemas']['StepStatus'];
      /** @description `pd.context.run.runs` of the latest execution; 0 before the first. */
      runs: number;
      /** @description How often the latest execution has begun; more than once after a crash or a stop. */
      attempts: number;
      error: components['schemas']['StepError'] | null;
      /** Format: date-time */
      started_at: string | null;
      /** Format: date-time */
      ended_at: string | null;
    };
    /** @description A step of a run. */
    Step: {
      name: string;
      status: components['schemas']['StepStatus'];
      /** @description `pd.context.run.runs` of the latest execution; 0 before the first. */
      runs: number;
      /** @description How often the latest execution has begun; more than once after a crash or a stop. */
      attempts: number;
      error: components['schemas']['StepError'] | null;
      /** Format: date-time */
      started_at: string | null;
      /** Format: date-time */
      ended_at: string | null;
      /** @description Exports by name, including `$return_value` and `$resume_data`. */
      exports: Record<string, unknown>;
    };
    /** @description By whom, and by what, a pause was decided. */
    Decider: {
      /** @description The person, if known. */
      name: string | null;
      /** @description The way by which the decision came. */
      via: components['schemas']['Via'];
      /** @description Whether the person was signed in with that name. */
      verified: boolean;
      at: components['schemas']['Time'];
      /** @description What the person has added. */
      note: string | null;
    };
    /** @description What a paused run waits for. */
    Pause: {
      kind: components['schemas']['PauseKind'];
      step: string;
      /** @description When the pause began. */
      since: components['schemas']['Time'];
      /** @description When the pause ends without an answer. */
      deadline: components['schemas']['Time'];
      /** @description What happens at the deadline. */
      on_timeout: components['schemas']['OnTimeout'];
      /** @description What is asked, as Markdown. */
      message: string | null;
      /** @description The JSON Schema of the answer. */
      form: Record<string, unknown> | null;
      /** @description Who may decide; empty for everyone who has a link, or may execute. */
      approvers: string[];
      /** @description How many of them have to approve. */
      required: number;
      /** @description The approvers who have not answered yet. */
      waiting_for: string[];
      /** @description The message as HTML that is safe to show. */
      message_html: string | null;
      /**
       * @description Whether a rejection ends the run, or lets it continue.
       * @enum {unknown}
       */
      on_reject: 'cancel' | 'resume';
      /** @description Who has approved so far. */
      approvals: components['schemas']['Decider'][];
      /** @description Why an approver's email can't be sent, by address. */
      undelivered: {
        [key: string]: string;
      };
      /**
       * Format: uri
       * @description Null for users who may not execute, and if the pause has no links.
       */
      resume_url: string | null;
      /**
       * Format: uri
       * @description Null for users who may not execute, and if the pause has no links.
       */
      cancel_url: string | null;
    };
    /** @description How a pause of a run was decided. */
    Decision: {
      step: string;
      /** @description `approved` in place of `resumed` if the pause has approvers. */
      outcome: components['schemas']['DecisionOutcome'];
      at: components['schemas']['Time'];
      by: components['schemas']['Decider'][];
    };
    /** @description What a run has used. */
    Usage: {
      /** @description One per started 30 s of each execution segment. */
      credits: number;
      /** @description Milliseconds in which steps were executed. */
      compute_ms: number;
      /** @description Milliseconds in which the run was paused. */
      paused_ms: number;
    };
    /** @description By whom, and by what, a run was started. */
    Starter: {
      /** @description The person, if known. */
      name: string | null;
      via: components['schemas']['Via'];
    };
    /** @description A run in a list, without its event and exports. */
    RunItem: {
      /** @description Ids sort by the time of the start. */
      id: string;
      /** @description One line: the subject of the newest email, else the first short values of the event. */
      title: string | null;
      workflow_id: string;
      workflow_name: string;
      /** @description The version of the workflow that the run was started with. */
      version: string;
      status: components['schemas']['RunStatus'];
      /** @description How often the current execution has begun, or is about to. */
      attempt: number;
      /** @description The run that this one repeats. */
      replay_of: string | null;
      /** @description Null for runs of older versions. */
      started_by: components['schemas']['Starter'] | null;
      steps: components['schemas']['StepItem'][];
      pause: components['schemas']['Pause'] | null;
      /** @description The newest decided pauses, oldest first; at most 100. */
      decisions: components['schemas']['Decision'][];
      usage: components['schemas']['Usage'];
      /** @description The reason that was given for the cancel or the early exit. */
      reason: string | null;
      error: components['schemas']['StepError'] | null;
      created_at: components['schemas']['Time'];
      updated_at: components['schemas']['Time'];
      /** Format: date-time */
      ended_at: string | null;
    };
    /** @description A run with its event and exports. */
    Run: {
      /** @description Ids sort by the time of the start. */
      id: string;
      /** @description One line: the subject of the newest email, else the first short values of the event. */
      title: string | null;
      workflow_id: string;
      workflow_name: string;
      /** @description The version of the workflow that the run was started with. */
      version: string;
      status: components['schemas']['RunStatus'];
      /** @description How often the current execution has begun, or is about to. */
      attempt: number;
      /** @description The run that this one repeats. */
      replay_of: string | null;
      /** @description Null for runs of older versions. */
      started_by: components['schemas']['Starter'] | null;
      steps: components['schemas']['Step'][];
      pause: components['schemas']['Pause'] | null;
      /** @description The newest decided pauses, oldest first; at most 100. */
      decisions: components['schemas']['Decision'][];
      usage: components['schemas']['Usage'];
      /** @description The reason that was given for the cancel or the early exit. */
      reason: string | null;
      error: components['schemas']['StepError'] | null;
      created_at: components['schemas']['Time'];
      updated_at: components['schemas']['Time'];
      /** Format: date-time */
      ended_at: string | null;
      /** @description The event that the run was started with; any JSON. */
      event: unknown;
    };
    /** @description What happened to a run. */
    HistoryEntry: {
      /** @description The number of the entry. */
      n: number;
      at: components['schemas']['Time'];
      /** @description `start`, `begin`, `finish`, `resume`, `expire`, `cancel`, `requeue` or `lapse`. */
      event: string;
      step: string;
      execution: number;
      attempt: number;
      /** @description The person, if known. */
      by: string | null;
      /** @description The way by which the event came. */
      via: components['schemas']['Via'] | null;
      /** @description One sentence more. */
      note: string | null;
    };
    /** @description The data of a Jupyter event about a run that has changed, see `server/run-event.yaml`. */
    RunChange: {
      run_id: string;
      workflow_id: string;
      workflow_name: string;
      status: components['schemas']['RunStatus'];
      /** @description The step that is executed, waits or is next; the last step of a run that has ended. */
      step: string;
      pause_kind: components['schemas']['PauseKind'] | null;
      /** Format: date-time */
      deadline: string | null;
      updated_at: components['schemas']['Time'];
    };
    /** @description A file that a step has saved below `pd.files`. */
    RunFile: {
      /** @description The path below `pd.files`, with forward slashes. */
      path: string;
      /** @description Number of bytes. */
      size: number;
      modified_at: components['schemas']['Time'];
    };
    /** @description The newest version of a workflow. */
    Workflow: {
      /** @description A slug of the notebook's path. */
      id: string;
      /** @description The notebook's file name without `.ipynb`. */
      name: string;
      /** @description A hash of the setup, the steps, their local modules and the kernel's name. */
      version: string;
      path: string;
      /** @description The names of the steps, in order. */
      steps: string[];
      created_at: components['schemas']['Time'];
      /**
       * @description Only in the answer to a deploy, and only if there are any: one sentence for each import whose local module is only known when the import runs.
       * @default []
       */
      warnings?: string[];
    };
    /** @description An email of a step. */
    Email: {
      id: string;
      run_id: string;
      step: string;
      to: string[];
      subject: string;
      text: string;
      html: string | null;
      /** @description `sent`: to all recipients. `failed`: at least one recipient did not get it, and `error` names the recipients and the cause. `kept`: no SMTP server is configured. */
      status: components['schemas']['EmailStatus'];
      error: string | null;
      created_at: components['schemas']['Time'];
    };
    /** @description A process that executes steps. */
    Worker: {
      name: string;
      host: string;
      /** @description The queues that it takes runs from. */
      queues: string[];
      /** @description Maximum number of its kernels. */
      kernels: number;
      /** @description Number of steps that it executes now. */
      busy: number;
      /** @description When it has last reported. */
      seen_at: components['schemas']['Time'];
    };
    /** @description The state of the server and its workers. */
    Health: {
      /**
       * @description `unavailable` if the store can't be used.
       * @enum {unknown}
       */
      status: 'ok' | 'unavailable';
      /** @description The kind of the store. */
      store: string;
      workers: components['schemas']['Worker'][];
      /** @description Number of runs with that status. */
      queued: number;
      /** @description Number of runs with that status. */
      running: number;
      /** @description Number of runs with that status. */
      paused: number;
      /**
       * Format: date-time
       * @description Since when the first of the queued runs waits.
       */
      oldest_queued_at: string | null;
    };
    /** @description Why a request was refused. */
    Error: {
      /** @description A message for people. */
      message: string;
      /** @description A name for programs, such as `not_found`. */
      reason: string;
    };
    /** @description What is wrong with one field of an answer. */
    FieldError: {
      /** @description The name of the field; empty for the whole answer. */
      field: string;
      message: string;
    };
    /** @description An answer that does not match the form of its pause, which stays. */
    AnswerError: {
      /** @description A message for people. */
      message: string;
      /** @description A name for programs, such as `not_found`. */
      reason: string;
      errors: components['schemas']['FieldError'][];
    };
    /** @description An approval that is counted, while more are required. */
    Counted: {
      /** @enum {unknown} */
      status: 'counted';
      /** @description How many more have to approve. */
      missing: number;
    };
    /** @description What a link did. */
    Acted: {
      /** @enum {unknown} */
      status: 'accepted' | 'canceled' | 'rejected' | 'resumed' | 'test';
      workflow: string | null;
      step: string | null;
      /**
       * @description Only for links of test mode.
       * @default
       */
      message?: string;
    };
    /** @description How a pause was decided before its link was used. */
    Decided: {
      message: string;
      /** @enum {unknown} */
      reason: 'already_decided';
      /** @description How the pause was decided. If the step did not pause: how the run ended, or `not_paused` if it still runs. */
      status: components['schemas']['Resolution'];
      decided_by: components['schemas']['Actor'] | null;
      decided_at: components['schemas']['Time'];
      workflow: string;
      step: string;
    };
    /** @description A pause that waits for the person who asks. */
    InboxItem: {
      run_id: string;
      /** @description The name of the workflow. */
      workflow: string;
      step: string;
      title: string | null;
      /** @description What is asked, as Markdown. */
      message: string | null;
      /** @description The message as HTML that is safe to show. */
      message_html: string | null;
      /** @description The JSON Schema of the answer. */
      form: Record<string, unknown> | null;
      since: components['schemas']['Time'];
      deadline: components['schemas']['Time'];
      on_timeout: components['schemas']['OnTimeout'];
      approvers: string[];
      required: number;
      /** @description Who has approved so far. */
      decided: components['schemas']['Decider'][];
      /** @description Why an approver's email can't be sent, by address. */
      undelivered: {
        [key: string]: string;
      };
    };
    /** @description The body of a request to deploy a notebook. */
    DeployBody: {
      /** @description The notebook's path in Jupyter's contents API. */
      path: string;
    };
    /** @description The body of a request to start a run. */
    StartBody: {
      /**
       * @description Any JSON. Steps read it from `pd.steps["trigger"]["event"]`.
       * @default {}
       */
      event?: unknown;
      /**
       * @description Whether a program, a person in Jupyter or the command line sends the request.
       * @default api
       */
      by?: components['schemas']['Caller'];
    };
    /** @description The body of a request to resume a run. */
    ResumeBody: {
      /**
       * @description Any JSON. It is the `body` of the request that the step gets.
       * @default null
       */
      data?: unknown;
      /**
       * @description What the person adds.
       * @default null
       */
      note?: string | null;
      /**
       * Format: date-time
       * @description The `since` of the pause that is meant. A later pause is not decided then (409).
       * @default null
       */
      since?: string | null;
      /**
       * @description Whether a program, a person in Jupyter or the command line sends the request.
       * @default api
       */
      by?: components['schemas']['Caller'];
    };
    /** @description The body of a request to reject what a run asks. */
    RejectBody: {
      /**
       * @description What the person adds.
       * @default null
       */
      note?: string | null;
      /**
       * Format: date-time
       * @description The `since` of the pause that is meant. A later pause is not decided then (409).
       * @default null
       */
      since?: string | null;
      /**
       * @description Whether a program, a person in Jupyter or the command line sends the request.
       * @default api
       */
      by?: components['schemas']['Caller'];
    };
    /** @description The body of a request to cancel a run. */
    CancelBody: {
      /**
       * @description The `reason` of the run.
       * @default null
       */
      reason?: string | null;
      /**
       * @description Whether a program, a person in Jupyter or the command line sends the request.
       * @default api
       */
      by?: components['schemas']['Caller'];
    };
    /** Format: date-time */
    Time: string;
    /** @enum {string} */
    RunStatus: 'canceled' | 'failed' | 'paused' | 'queued' | 'running' | 'succeeded';
    /** @enum {string} */
    StepStatus: 'canceled' | 'failed' | 'paused' | 'pending' | 'running' | 'skipped' | 'succeeded';
    /** @enum {string} */
    PauseKind: 'delay' | 'rerun' | 'retry' | 'suspend';
    /** @enum {string} */
    OnTimeout: 'cancel' | 'fail' | 'resume';
    /** @enum {string} */
    Actor: 'api' | 'button' | 'cli' | 'link' | 'timer';
    /** @enum {string} */
    Resolution:
      | 'approved'
      | 'canceled'
      | 'exited'
      | 'failed'
      | 'not_paused'
      | 'rejected'
      | 'resumed'
      | 'succeeded'
      | 'timed_out';
    /** @enum {string} */
    Via: 'api' | 'cli' | 'jupyter' | 'link' | 'timer';
    /** @enum {string} */
    DecisionOutcome: 'approved' | 'canceled' | 'rejected' | 'resumed' | 'timed_out';
    /** @enum {string} */
    EmailStatus: 'failed' | 'kept' | 'queued' | 'sent';
    /** @enum {string} */
    Caller: 'api' | 'button' | 'cli';
  };
  responses: never;
  parameters: never;
  requestBodies: never;
  headers: never;
  pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
