// Made from jupyter_pdflow/server/api/openapi.yaml by `jlpm api`.

export interface paths {
  '/pdflow/api/workflows': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /** List the newest version of each workflow */
    get: operations['listWorkflows'];
    put?: never;
    /**
     * Deploy a notebook
     * @description Reads the saved notebook and the local modules that it imports. If they equal the newest
     *     version, no new version is made.
     */
    post: operations['deploy'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/workflows/{workflow_id}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        workflow_id: components['parameters']['WorkflowId'];
      };
      cookie?: never;
    };
    /** Show the newest version of a workflow */
    get: operations['getWorkflow'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/workflows/{workflow_id}/runs': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        workflow_id: components['parameters']['WorkflowId'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    /** Start a run */
    post: operations['startRun'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/workflows/{workflow_id}/versions': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        workflow_id: components['parameters']['WorkflowId'];
      };
      cookie?: never;
    };
    /** List the versions of a workflow */
    get: operations['listVersions'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/workflows/{workflow_id}/versions/{version}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        workflow_id: components['parameters']['WorkflowId'];
        /** @description The version's hash. */
        version: string;
      };
      cookie?: never;
    };
    /** Show a version of a workflow with its code */
    get: operations['getVersion'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/deployment': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * Show what is deployed of a notebook, and whether it was edited since
     * @description Reads the saved notebook and the local modules that it imports, as a deploy does, and
     *     changes nothing. It also asks the server's authorizer for `read` on `contents`.
     */
    get: operations['getDeployment'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /** List runs, newest first */
    get: operations['listRuns'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/counts': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * Count runs by status, workflow and day
     * @description Meant to be asked for again after each change of a run: clients that ask for the same
     *     meanwhile share one count, which may begin up to a second later if the last one took long.
     */
    get: operations['countRuns'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/{run_id}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    /** Show a run with its event and exports */
    get: operations['getRun'];
    put?: never;
    post?: never;
    /** Remove a run that has ended, with its outputs, files and emails */
    delete: operations['deleteRun'];
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/{run_id}/notebook': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    /** Get a run as an executed notebook */
    get: operations['getRunNotebook'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/{run_id}/outputs': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    /**
     * Show the outputs of a run, also while a step is executed
     * @description What a step that is executed has shown so far is there within a second. It is cheap to ask
     *     again with the last answer's `ETag`. Of each execution of a step about 2 MB are kept, and a
     *     last output says how much was dropped.
     */
    get: operations['getRunOutputs'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/{run_id}/history': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    /**
     * List what has happened to a run
     * @description The newest entries, oldest first. Runs that ended before version 2 of the data format have
     *     none. An entry never has the body of a request.
     */
    get: operations['listRunHistory'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/{run_id}/files': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    /**
     * List the files that the steps of a run saved below `pd.files`
     * @description The list leaves out symbolic links that lead out of the run's folder, symbolic links to
     *     folders, special files, and names that are not UTF-8 or have control characters or
     *     backslashes.
     */
    get: operations['listRunFiles'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/{run_id}/files/{path}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
        /** @description The file's path in the list. Slashes may be sent as they are or as `%2F`. */
        path: string;
      };
      cookie?: never;
    };
    /**
     * Get a file of a run
     * @description Every file is sent as a download, so that no browser shows it as a page. For users who may
     *     not execute, links in plain text are hidden. Compressed content is not searched for links.
     */
    get: operations['getRunFile'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/{run_id}/resume': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Resume, or approve, a paused run
     * @description If the pause has a form, `data` has to match it. If the pause has approvers, the user has to
     *     be one of them, and as many as are required have to approve.
     */
    post: operations['resumeRun'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/{run_id}/reject': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Reject what a paused run asks
     * @description If the pause has approvers, the user has to be one of them; one rejection decides. The run
     *     is canceled, or continues if `on_reject` of the pause says so.
     */
    post: operations['rejectRun'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/runs/{run_id}/cancel': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Cancel a queued, running or paused run
     * @description Open to all who may execute, also if the run's pause has approvers. It approves nothing.
     */
    post: operations['cancelRun'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/inbox': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /**
     * List what waits for the user, newest first
     * @description The pauses of `suspend` that the user may decide and has not answered. Those without
     *     approvers wait for all who may execute.
     */
    get: operations['listInbox'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/health': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /** Show how the server and its workers are doing */
    get: operations['getHealth'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/mail': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /** List the emails of steps, newest first */
    get: operations['listMail'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/mail/{mail_id}': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        mail_id: string;
      };
      cookie?: never;
    };
    /** Show an email */
    get: operations['getMail'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/mail/{mail_id}/retry': {
    parameters: {
      query?: never;
      header?: never;
      path: {
        mail_id: string;
      };
      cookie?: never;
    };
    get?: never;
    put?: never;
    /**
     * Send an email again that has failed
     * @description Recipients who have the email already do not get it again.
     */
    post: operations['retryMail'];
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
  '/pdflow/api/openapi.yaml': {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    /** Get this description */
    get: operations['getDescription'];
    put?: never;
    post?: never;
    delete?: never;
    options?: never;
    head?: never;
    patch?: never;
    trace?: never;
  };
}
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
      /** @description The number of that version; null if it is not known here. */
      version_number: number | null;
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
      /** @description The number of that version; null if it is not known here. */
      version_number: number | null;
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
    /** @description Numbers of runs by status. */
    StatusCounts: {
      queued: number;
      running: number;
      paused: number;
      succeeded: number;
      failed: number;
      canceled: number;
    };
    /** @description Numbers of runs that were created on one day, by what became of them. */
    DayCounts: {
      /** Format: date */
      day: string;
      succeeded: number;
      failed: number;
      canceled: number;
      /** @description Runs that have not ended. */
      active: number;
    };
    /** @description Numbers of runs of one workflow. */
    WorkflowCounts: {
      /** @description The workflow's id. */
      id: string;
      /** @description The workflow's name; its id if the workflow is gone. */
      name: string;
      statuses: components['schemas']['StatusCounts'];
      /** @description Runs that are paused until a person or a request answers: in a `suspend`. */
      waiting: number;
      /** @description Those of the last 14 days that have runs, oldest first. */
      days: components['schemas']['DayCounts'][];
    };
    /** @description Numbers of runs, of all workflows and of each. */
    RunCounts: {
      statuses: components['schemas']['StatusCounts'];
      /** @description Runs that are paused until a person or a request answers: in a `suspend`. */
      waiting: number;
      /** @description Workflows that have runs, sorted by name; at most the 200 with the newest runs. */
      workflows: components['schemas']['WorkflowCounts'][];
    };
    /** @description A file that a step has saved below `pd.files`. */
    RunFile: {
      /** @description The path below `pd.files`, with forward slashes. */
      path: string;
      /** @description Number of bytes. */
      size: number;
      modified_at: components['schemas']['Time'];
    };
    /** @description A version of a workflow, the newest one unless another is asked for. */
    Workflow: {
      /** @description A slug of the notebook's path. */
      id: string;
      /** @description The notebook's file name without `.ipynb`. */
      name: string;
      /** @description A hash of the setup, the steps, their local modules and the kernel's name. */
      version: string;
      /** @description 1 for the version that was first deployed, 2 for the second, and so on. */
      number: number;
      path: string;
      /** @description The names of the steps, in order. */
      steps: string[];
      /** @description When the version was first deployed. */
      created_at: components['schemas']['Time'];
      /**
       * @description Only in the answer to a deploy, and only if there are any: one sentence for each import whose local module is only known when the import runs.
       * @default []
       */
      warnings?: string[];
    };
    /** @description A version in the list of a workflow's versions. */
    VersionItem: {
      version: string;
      number: number;
      /** @description When the version was first deployed. */
      created_at: components['schemas']['Time'];
      /** @description Whether new runs use it. */
      current: boolean;
    };
    /** @description The code of a step. */
    StepSource: {
      name: string;
      /** @description The step's cell below its first line. */
      source: string;
    };
    /** @description The code of a local module. */
    ModuleSource: {
      name: string;
      /** @description Its path, relative to the notebook's folder. */
      path: string;
      source: string;
    };
    /** @description The code of a version. */
    VersionSource: {
      /** @description The name of the notebook's kernelspec. */
      kernel_name: string;
      /** @description The queue that runs wait in. */
      queue: string;
      /** @description The setup cells, in order. */
      setup: string[];
      /** @description The steps, in order. */
      steps: components['schemas']['StepSource'][];
      /** @description The local modules that are imported, sorted by name. */
      modules: components['schemas']['ModuleSource'][];
    };
    /** @description A version of a workflow with its code. */
    Version: {
      /** @description A slug of the notebook's path. */
      id: string;
      /** @description The notebook's file name without `.ipynb`. */
      name: string;
      /** @description A hash of the setup, the steps, their local modules and the kernel's name. */
      version: string;
      /** @description 1 for the version that was first deployed, 2 for the second, and so on. */
      number: number;
      path: string;
      /** @description The names of the steps, in order. */
      steps: string[];
      /** @description When the version was first deployed. */
      created_at: components['schemas']['Time'];
      /**
       * @description Only in the answer to a deploy, and only if there are any: one sentence for each import whose local module is only known when the import runs.
       * @default []
       */
      warnings?: string[];
      source: components['schemas']['VersionSource'];
    };
    /** @description What the server knows about a notebook, as it is saved now. */
    Deployment: {
      path: string;
      /** @description The newest version; null if the notebook is not deployed. */
      workflow: components['schemas']['Workflow'] | null;
      /** @description The version that a deploy would make; null if the notebook can't be deployed. */
      version: string | null;
      /** @description Whether the notebook, or a local module that it imports, differs from the newest version. */
      edited: boolean;
      /** @description Why the notebook can't be deployed. Only a deploy checks that the kernel works. */
      problem: string | null;
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
  responses: {
    /** @description The path, the query or the body is malformed (`bad_request`). */
    BadRequest: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
    /**
     * @description The request is not authenticated, the user lacks the permission, the `_xsrf` value is
     *     missing, or the `Host` is not one of this server (`forbidden`).
     */
    Forbidden: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
    /**
     * @description The pause has approvers, and the user is none of them (`approvers_only`). Or the request is
     *     not authenticated, the user lacks the permission, the `_xsrf` value is missing, or the
     *     `Host` is not one of this server (`forbidden`). Nothing was changed.
     */
    MayNotDecide: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
    /** @description The run is not paused (`not_paused`). Nothing was changed. */
    NotPaused: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
    /**
     * @description The user has approved, and more approvals are required (`already_answered`). Nothing was
     *     changed.
     */
    AlreadyAnswered: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
    /** @description The route or the id is unknown (`not_found`), or a page of another origin sent the request. */
    NotFound: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
    /** @description The body is larger than 6 MB (`too_large`). */
    TooLarge: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
    /** @description The file of the run can't be read (`unreadable`). */
    Unreadable: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
    /**
     * @description Another server holds the data directory (`locked`), the disk is full or can't be written
     *     (`storage`), a trait can't be used (`bad_configuration`), or the server is shutting down
     *     (`stopping`). Nothing was changed.
     */
    Unavailable: {
      headers: {
        [name: string]: unknown;
      };
      content: {
        'application/json': components['schemas']['Error'];
      };
    };
  };
  parameters: {
    WorkflowId: string;
    RunId: string;
    /**
     * @description Only runs with each of these words, 32 at most, in their title, workflow's name or event, and
     *     the run with this id.
     */
    Search: string;
    /** @description Only runs that were created at this time or later. */
    Since: string;
    /** @description Only runs that were created before this time. */
    Until: string;
    /**
     * @description A signed name of one execution of a step, or `test` in the links of test mode. The token
     *     ends before the first character that is not one of `A–Z a–z 0–9 - _ .`, and never with a
     *     dot. So a link works with the punctuation that follows it in a sentence.
     */
    Token: string;
  };
  requestBodies: {
    /**
     * @description At most `PDFlow.max_body_bytes`, also when it is decompressed. The content encodings `gzip`
     *     and `deflate` are decompressed. JSON, forms, multipart and text are parsed for the step.
     *     The step gets any other body in base64.
     */
    Anything: {
      content: {
        '*/*': unknown;
      };
    };
  };
  headers: {
    /** @description The path of the new workflow or run. */
    Location: string;
  };
  pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
  listWorkflows: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The workflows, sorted by id. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Workflow'][];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  deploy: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody: {
      content: {
        'application/json': components['schemas']['DeployBody'];
      };
    };
    responses: {
      /** @description The notebook equals the newest version, which is returned. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Workflow'];
        };
      };
      /** @description A new version was made. */
      201: {
        headers: {
          Location: components['headers']['Location'];
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Workflow'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      413: components['responses']['TooLarge'];
      /**
       * @description The notebook is not a workflow (`bad_notebook`). Or its kernelspec is missing, or the
       *     kernel's environment lacks this package (`bad_kernelspec`).
       */
      422: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Error'];
        };
      };
      503: components['responses']['Unavailable'];
    };
  };
  getWorkflow: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        workflow_id: components['parameters']['WorkflowId'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The workflow. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Workflow'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  startRun: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        workflow_id: components['parameters']['WorkflowId'];
      };
      cookie?: never;
    };
    requestBody?: {
      content: {
        'application/json': components['schemas']['StartBody'];
      };
    };
    responses: {
      /** @description The run. It is stored and will begin soon. */
      201: {
        headers: {
          Location: components['headers']['Location'];
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Run'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      413: components['responses']['TooLarge'];
      503: components['responses']['Unavailable'];
    };
  };
  listVersions: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        workflow_id: components['parameters']['WorkflowId'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The versions, those with the greatest numbers first; at most 100. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['VersionItem'][];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  getVersion: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        workflow_id: components['parameters']['WorkflowId'];
        /** @description The version's hash. */
        version: string;
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The version. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Version'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  getDeployment: {
    parameters: {
      query: {
        /** @description The notebook's path in Jupyter's contents API. */
        path: string;
      };
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The deployed version, and the notebook as it is saved. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Deployment'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  listRuns: {
    parameters: {
      query?: {
        /** @description Only runs with this status. */
        status?: components['schemas']['RunStatus'];
        /** @description Only runs of the workflow with this id. */
        workflow?: string;
        /** @description Only runs that wait in this way. */
        pause?: 'suspend' | 'rerun' | 'delay';
        /**
         * @description Only runs with each of these words, 32 at most, in their title, workflow's name or event, and
         *     the run with this id.
         */
        search?: components['parameters']['Search'];
        /** @description Only runs that were created at this time or later. */
        since?: components['parameters']['Since'];
        /** @description Only runs that were created before this time. */
        until?: components['parameters']['Until'];
        limit?: number;
        /** @description Only runs that were started before the run with this id. */
        before?: string;
      };
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description A page of runs, without their events and exports. */
      200: {
        headers: {
          /** @description The next page, with `rel="next"`. The last page has no such header. */
          Link?: string;
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['RunItem'][];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  countRuns: {
    parameters: {
      query?: {
        /** @description Only runs of the workflow with this id. */
        workflow?: string;
        /**
         * @description Only runs with each of these words, 32 at most, in their title, workflow's name or event, and
         *     the run with this id.
         */
        search?: components['parameters']['Search'];
        /** @description Only runs that were created at this time or later. */
        since?: components['parameters']['Since'];
        /** @description Only runs that were created before this time. */
        until?: components['parameters']['Until'];
        /**
         * @description Number of minutes that the client's time is ahead of UTC, such as 60 for UTC+01:00. It
         *     says when the days begin, and which one is today.
         */
        offset?: number;
      };
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The numbers of runs. Days are the last 14 with runs, in the client's time. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['RunCounts'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  getRun: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The run. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Run'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  deleteRun: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The run is gone. */
      204: {
        headers: {
          [name: string]: unknown;
        };
        content?: never;
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      /** @description The run has not ended. */
      409: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Error'];
        };
      };
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  getRunNotebook: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /**
       * @description What the run was, the setup and the steps of its version, each step with its outputs,
       *     times, exports and decisions. The notebook's metadata has the states of widgets.
       */
      200: {
        headers: {
          /** @description An attachment with a file name. */
          'Content-Disposition'?: string;
          [name: string]: unknown;
        };
        content: {
          'application/x-ipynb+json': Record<string, unknown>;
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  getRunOutputs: {
    parameters: {
      query?: never;
      header?: {
        /** @description The `ETag` of the last answer. */
        'If-None-Match'?: string;
      };
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /**
       * @description The outputs by the name of the step, as nbformat has them; a step without outputs may be
       *     missing. A widget's `text/plain` is what it shows now.
       */
      200: {
        headers: {
          /** @description Changes when the outputs or the status of the run do. */
          ETag?: string;
          [name: string]: unknown;
        };
        content: {
          'application/json': {
            [key: string]: Record<string, unknown>[];
          };
        };
      };
      /** @description Nothing has changed. */
      304: {
        headers: {
          [name: string]: unknown;
        };
        content?: never;
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  listRunHistory: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The entries, by number; at most 1,000. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['HistoryEntry'][];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  listRunFiles: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The files, sorted by path; at most 1,000. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['RunFile'][];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  getRunFile: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
        /** @description The file's path in the list. Slashes may be sent as they are or as `%2F`. */
        path: string;
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The file. */
      200: {
        headers: {
          /** @description An attachment with a file name. */
          'Content-Disposition'?: string;
          [name: string]: unknown;
        };
        content: {
          'application/octet-stream': unknown;
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  resumeRun: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    requestBody?: {
      content: {
        'application/json': components['schemas']['ResumeBody'];
      };
    };
    responses: {
      /**
       * @description The run, which continues. Or the run with its pause, if the approval is counted and more
       *     are required.
       */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Run'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['MayNotDecide'];
      404: components['responses']['NotFound'];
      409: components['responses']['NotPaused'];
      410: components['responses']['AlreadyAnswered'];
      413: components['responses']['TooLarge'];
      /** @description The data does not match the form of the pause (`invalid_answer`). The pause stays. */
      422: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['AnswerError'];
        };
      };
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  rejectRun: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    requestBody?: {
      content: {
        'application/json': components['schemas']['RejectBody'];
      };
    };
    responses: {
      /** @description The run, canceled or continued. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Run'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['MayNotDecide'];
      404: components['responses']['NotFound'];
      409: components['responses']['NotPaused'];
      410: components['responses']['AlreadyAnswered'];
      413: components['responses']['TooLarge'];
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  cancelRun: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        run_id: components['parameters']['RunId'];
      };
      cookie?: never;
    };
    requestBody?: {
      content: {
        'application/json': components['schemas']['CancelBody'];
      };
    };
    responses: {
      /** @description The run, canceled. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Run'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      /** @description The run has ended (`ended`). Nothing was changed. */
      409: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Error'];
        };
      };
      413: components['responses']['TooLarge'];
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  listInbox: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The pauses, at most 100. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['InboxItem'][];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  getHealth: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The number of runs, and the workers that execute them. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Health'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  listMail: {
    parameters: {
      query?: {
        /** @description Only emails of the run with this id. */
        run?: string;
      };
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The emails, at most 500. There are fewer if their texts exceed 4 MB. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Email'][];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  getMail: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        mail_id: string;
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The email. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Email'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      503: components['responses']['Unavailable'];
    };
  };
  retryMail: {
    parameters: {
      query?: never;
      header?: never;
      path: {
        mail_id: string;
      };
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description The email, which is queued. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Email'];
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
      /** @description The email has not failed (`not_failed`). Nothing was changed. */
      409: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/json': components['schemas']['Error'];
        };
      };
      500: components['responses']['Unreadable'];
      503: components['responses']['Unavailable'];
    };
  };
  getDescription: {
    parameters: {
      query?: never;
      header?: never;
      path?: never;
      cookie?: never;
    };
    requestBody?: never;
    responses: {
      /** @description An OpenAPI document. */
      200: {
        headers: {
          [name: string]: unknown;
        };
        content: {
          'application/yaml': Record<string, unknown>;
        };
      };
      400: components['responses']['BadRequest'];
      403: components['responses']['Forbidden'];
      404: components['responses']['NotFound'];
    };
  };
}
