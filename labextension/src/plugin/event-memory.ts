import type { IStateDB } from '@jupyterlab/statedb';

const EVENTS_KEY = 'jupyter-pdflow:events';

/** Remembers the last event of each notebook, as the person has written it. */
export class EventMemory {
  /** @param state - stores the events, or null to store none */
  constructor(private readonly state: IStateDB | null) {}

  /** Return the last event of a notebook. */
  async get(path: string): Promise<string> {
    const text = (await this.all())[path];
    return typeof text === 'string' ? text : '{}';
  }

  /** Remember an event. */
  async set(path: string, text: string): Promise<void> {
    await this.state?.save(EVENTS_KEY, { ...(await this.all()), [path]: text });
  }

  private async all(): Promise<Record<string, string | undefined>> {
    const events = await this.state?.fetch(EVENTS_KEY);
    return (events ?? {}) as Record<string, string | undefined>;
  }
}
