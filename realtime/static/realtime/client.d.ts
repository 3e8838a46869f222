/** The types of the browser client, `realtime/client.js`. */

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Where a client is in a room. */
export interface Position {
  epoch: string;
  offset: number;
}

/** Who publishes, or who has come. `user` is the id; `conn_info` is what the site's USER_INFO gives. */
export interface ClientInfo {
  user: string;
  client: string;
  conn_info?: Json;
  chan_info?: Json;
}

/** A message. `offset` numbers those of a room that keeps them; without `info`, the server said it. */
export interface Publication<Data = any> {
  data: Data;
  offset?: number;
  info?: ClientInfo;
  tags?: Record<string, string>;
}

/** The reply to an entry. */
export interface Joined<State = any> {
  /** What `get_state` of the room gave. */
  data?: State;
  epoch?: string;
  offset?: number;
  recoverable?: boolean;
  /** The page was here before, and asked for what it missed. */
  was_recovering?: boolean;
  /** All that was missed follows as messages. */
  recovered?: boolean;
  publications?: Publication[];
}

export interface Page {
  publications: Publication[];
  epoch: string;
  offset: number;
}

/** The names of errors, by their code. */
export interface ErrorNames {
  /** The server could not be heard. */
  0: "Away";
  100: "Internal";
  /** No credential was accepted. */
  101: "Unauthorized";
  102: "UnknownRoom";
  /** The user may not do this, or the room does not exist. */
  103: "PermissionDenied";
  104: "MethodNotFound";
  105: "AlreadySubscribed";
  106: "LimitExceeded";
  107: "BadRequest";
  /** The room does not keep what was asked for. */
  108: "NotAvailable";
  109: "TokenExpired";
  111: "TooManyRequests";
  112: "UnrecoverablePosition";
}

/** What the server answers instead of a result. */
export class RealtimeError extends Error {
  constructor(code: number, message: string, temporary?: boolean);
  /** A word for the code; "Rejected" for the codes of the site's own hooks (400 to 1999). */
  readonly name: ErrorNames[keyof ErrorNames] | "Rejected";
  readonly code: number;
  /** Whether the same may succeed later. */
  readonly temporary: boolean;
}

/** Why a connection or a stay in a room ended. */
export interface Reason {
  code: number;
  reason: string;
}

/** The events of a room. */
export interface RoomEvents<Data = any, State = any> {
  /** Somebody published; after a return, first what was missed, in order. */
  message: Publication<Data>;
  /** At each entry, also after a reconnect. */
  joined: Joined<State>;
  /** What `get_state` gave, at each entry. */
  state: State;
  /** The page is back, and all that it missed follows as messages. */
  recovered: { count: number };
  /** The page is back, and messages are lost: load again what they change. */
  gap: Record<string, never>;
  /** A user has come. */
  enter: ClientInfo;
  /** The last connection of a user has gone. */
  exit: ClientInfo;
  /** The page may not enter; nothing is tried again. */
  refused: RealtimeError;
  /** The server took the page out for good. */
  left: Reason;
}

/** A room of the page. Listening to it enters it. */
export interface Room<Data = any, State = any> {
  readonly name: string;
  /** Whether messages arrive at the moment. */
  readonly joined: boolean;
  /** What `get_state` gave at the last entry. */
  readonly state: State | undefined;
  /** The position of the last message, or null if the room keeps none. */
  readonly position: Position | null;
  /** Returns a function that stops listening; it does not leave the room. */
  on<Event extends keyof RoomEvents>(
    event: Event,
    listener: (detail: RoomEvents<Data, State>[Event]) => void,
  ): () => void;
  /** Fulfilled when the server has the message, else a RealtimeError. */
  publish(data: Data): Promise<void>;
  /** Call a method of the room type that has `@rooms.rpc`. */
  rpc<Result = any>(method: string, data?: any): Promise<Result>;
  /** Who is here: one entry for each connection. */
  presence(): Promise<ClientInfo[]>;
  history(page?: HistoryOptions): Promise<Page>;
  /** Leave, and forget all listeners. */
  leave(): Promise<void>;
}

export interface HistoryOptions {
  /** 100 if it is not given. */
  limit?: number;
  reverse?: boolean;
  since?: Position;
}

export type State = "connecting" | "connected" | "closed";

/** The events of the connection. */
export interface RealtimeEvents {
  /** With "connecting": why the last connection ended, if one did. */
  state: { state: State } & Partial<Reason>;
  /** A message of any room. */
  message: { room: string; publication: Publication };
  /** What the user may do has perhaps changed: a page that shows rights asks again. */
  rights: null;
  /** What an administrator says to the user: text, never HTML. */
  notice: { text: string };
  /** The page may not enter a room. */
  refused: { room: string; error: RealtimeError };
  /** Each object on the wire, tokens masked. */
  frame: { direction: "in" | "out"; text: string };
  /** A listener of the page threw. */
  error: { error: unknown; room: string };
}

type Awaitable<Value> = Value | Promise<Value>;

interface Address {
  /** Of the socket; a path is taken on the page's own host. */
  url?: string | URL;
  /** The name of the user's personal room; the tag gives it. */
  userRoom?: string;
}

/** Who the user is: by a token, by a ticket, or by the session cookie. */
export type Options = Address &
  (
    | {
        /** `fresh`: the last token has ended or is about to. A true `final` of an error ends it all. */
        getToken?: (why: { fresh: boolean }) => Awaitable<string | null | undefined>;
        getTicket?: undefined;
      }
    | {
        /** Asked for at each connect: a ticket can be used once. */
        getTicket?: () => Awaitable<string | null | undefined>;
        getToken?: undefined;
      }
  );

/** The handlers of `subscribe`. */
export interface Handlers<Data = any> {
  onMessage?: (publication: Publication<Data>) => void;
  onJoined?: (reply: Joined) => void;
  onState?: (state: any) => void;
  onRecovered?: (facts: { count: number }) => void;
  onGap?: () => void;
  onEnter?: (info: ClientInfo) => void;
  onExit?: (info: ClientInfo) => void;
  onRefused?: (error: RealtimeError) => void;
  onLeft?: (why: Reason) => void;
}

export class Realtime extends EventTarget {
  constructor(options?: Options);
  /** Change the options, before the first use. */
  configure(options: Options): this;
  /** The address of the socket. */
  readonly url: string;
  /** The id of this connection, as `info.client` of its messages has it; null without one. */
  readonly client: string | null;
  readonly state: State;
  /** Open the connection; while it waits for its next attempt, try at once. */
  connect(): void;
  /** Leave for good, and forget the rooms. */
  close(): void;
  /** Returns a function that stops listening. */
  on<Event extends keyof RealtimeEvents>(
    event: Event,
    listener: (detail: RealtimeEvents[Event]) => void,
  ): () => void;
  /** A room; `since` is a position that the server put into the page ("<epoch>:<offset>" too). */
  room<Data = any, RoomState = any>(
    name: string,
    options?: { since?: Position | string | null },
  ): Room<Data, RoomState>;
  /** The personal room of the user, for what the server publishes to a user; null without a user. */
  readonly user: Room | null;
  /** Enter a room with handlers, in place of those that it had. Waits for `connect()`. */
  subscribe<Data = any>(room: string, handlers?: Handlers<Data>): void;
  unsubscribe(room: string): Promise<void>;
  /** Leave a room that nobody listens to any more. */
  release(room: string): void;
  /** Fulfilled when the server has the message, else a RealtimeError. */
  publish(room: string, data: any): Promise<void>;
  presence(room: string): Promise<ClientInfo[]>;
  history(room: string, page?: HistoryOptions): Promise<Page>;
  /** Call a procedure of the site. */
  rpc<Result = any>(method: string, data?: any): Promise<Result>;
}

/** The client of this page; it connects when it is used for the first time. */
export const realtime: Realtime;

declare global {
  /** The client of this page, made by {% realtime_script %}. */
  var realtime: Realtime;
}
