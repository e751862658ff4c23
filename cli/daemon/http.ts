// The daemon's HTTP door: is it alive, is it ready and why not, what does it see, its metrics.
// Read-only. Commands go over signed requests to the broker, never over HTTP.
import fastify, { type FastifyInstance } from 'fastify';
import {
  listenProblem,
  METRICS_CONTENT_TYPE,
  renderMetrics,
  type Service,
} from '../../core-broker/base/index.ts';

export interface Health {
  /** Green only if every part is. */
  ready: boolean;
  /** Why not, one sentence each; empty when ready. */
  reasons: string[];
}

export interface HttpOptions {
  host: string;
  port: number;
  health(): Health;
  status(): unknown;
}

/** Serves /health/live, /health/ready (200 or 503 with reasons), /status and /metrics. */
export class HttpEndpoint implements Service {
  readonly #options: HttpOptions;
  readonly #server: FastifyInstance;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#server = fastify({ forceCloseConnections: true });
    this.#server.get('/health/live', () => ({ live: true }));
    this.#server.get('/health/ready', (_request, reply) => {
      const health = options.health();
      return reply.code(health.ready ? 200 : 503).send(health);
    });
    this.#server.get('/status', () => options.status());
    this.#server.get('/metrics', async (_request, reply) =>
      reply.header('content-type', METRICS_CONTENT_TYPE).send(await renderMetrics()),
    );
  }

  async start(): Promise<void> {
    const { host, port } = this.#options;
    try {
      await this.#server.listen({ host, port });
    } catch (reason) {
      const place = { what: 'health and metrics', host, port };
      throw listenProblem(reason as NodeJS.ErrnoException, place);
    }
  }

  async stop(): Promise<void> {
    await this.#server.close();
  }
}
