import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { Widget } from '@lumino/widgets';
import { mount } from '../core/component';
import type { LiveRuns } from '../core/live-runs';
import { runPage } from '../core/run/run-page';
import type { RunWatch } from '../core/run-watch';
import type { Run } from '../core/types';
import { runsIcon } from './icon';
import { CommandIDs } from './tokens';

/** Maximum number of characters of a tab's label. */
const MAX_LABEL = 40;

/** The page of a run, the content of a tab. */
class RunContent extends Widget {
  private readonly watch: RunWatch;
  private readonly unmount: () => void;

  /**
   * @param runs - the runs that views show
   * @param run - the run's id
   */
  constructor(
    runs: LiveRuns,
    readonly run: string
  ) {
    super();
    this.addClass('jp-pdflow-run-tab');
    this.node.tabIndex = -1;
    this.title.label = 'Run';
    this.title.icon = runsIcon;
    this.watch = runs.watch(run, () => this.updateTitle());
    const page = document.createElement('div');
    this.node.append(page);
    this.unmount = mount(page, runPage({ runs, id: run }));
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.watch.dispose();
      this.unmount();
      super.dispose();
    }
  }

  protected override onActivateRequest(): void {
    if (!this.node.contains(document.activeElement)) {
      this.node.focus({ preventScroll: true });
    }
  }

  private updateTitle(): void {
    const { run } = this.watch;
    if (run !== null) {
      this.title.label = shortened(run.title ?? run.workflow_name);
      this.title.caption = captionOf(run);
    }
  }
}

/** The tabs of runs in the main area: one for each run that is open. */
export class RunTabs {
  private readonly tracker = new WidgetTracker<MainAreaWidget<RunContent>>({
    namespace: 'jupyter-pdflow-runs'
  });

  /**
   * @param shell - the application's shell
   * @param runs - the runs that views show
   */
  constructor(
    private readonly shell: JupyterFrontEnd.IShell,
    private readonly runs: LiveRuns
  ) {}

  /** Show the tab of a run, which is opened if there is none. */
  open(run: string): MainAreaWidget {
    const tab = this.tracker.find(({ content }) => content.run === run) ?? this.add(run);
    this.shell.activateById(tab.id);
    return tab;
  }

  /** Return whether the tab of a run is in front. */
  isInFront(run: string): boolean {
    const tab = this.tracker.find(({ content }) => content.run === run);
    return tab !== undefined && tab.isVisible;
  }

  /** Open the tabs again that were open when the page was left. */
  restore(restorer: ILayoutRestorer): void {
    void restorer.restore(this.tracker, {
      command: CommandIDs.openRun,
      args: ({ content }) => ({ run: content.run }),
      name: ({ content }) => content.run
    });
  }

  private add(run: string): MainAreaWidget<RunContent> {
    const tab = new MainAreaWidget({ content: new RunContent(this.runs, run) });
    tab.id = `jupyter-pdflow-run-${run}`;
    tab.title.closable = true;
    tab.toolbar.hide();
    void this.tracker.add(tab);
    this.shell.add(tab, 'main', { type: 'Workflow run' });
    return tab;
  }
}

function captionOf({ id, title, workflow_name: workflow }: Run): string {
  return [title, workflow, `run ${id}`].filter(Boolean).join('\n');
}

function shortened(text: string): string {
  return text.length > MAX_LABEL ? `${text.slice(0, MAX_LABEL - 1)}…` : text;
}
