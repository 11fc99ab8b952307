// @ts-check
/**
 * The shapes of the command center's HTTP API as the console reads them. Times are milliseconds since 1970 UTC.
 *
 * @typedef {"FLASH"|"IMMEDIATE"|"PRIORITY"|"ROUTINE"|"BULK"} Precedence
 * @typedef {"false_alarm"|"handled"|"gone_on_arrival"|"building_secure"|"duplicate"|"cancelled"|"test"} Disposition
 *
 * @typedef {object} Session
 * @property {string} username
 * @property {string} role
 * @property {string} csrf
 *
 * @typedef {object} Hops
 * @property {number|null} sighting_to_spooled_ms
 * @property {number|null} spooled_to_stored_ms
 * @property {number|null} stored_to_receipt_ms
 * @property {number|null} acknowledged_to_node_ms
 *
 * @typedef {object} Incident
 * @property {number} id
 * @property {string} number
 * @property {number} version
 * @property {"unacknowledged"|"acknowledged"|"closed"} state
 * @property {string} label
 * @property {string} camera
 * @property {{id: string, name: string, site: string}} node
 * @property {string} zone
 * @property {Precedence} precedence
 * @property {number} confidence
 * @property {string} rule
 * @property {number} alert_count
 * @property {number} first_alert_at_ms
 * @property {number} last_alert_at_ms
 * @property {number|null} sighted_at_ms
 * @property {string} clock_quality
 * @property {string|null} snapshot_url
 * @property {number[]} box_xyxy
 * @property {string|null} acknowledged_by
 * @property {number|null} acknowledged_at_ms
 * @property {boolean} quarantined
 * @property {number} [level] Notified again so far: 1 again, 2 second position, 3 supervisor.
 * @property {""|"shelved"|"flood"} [quiet]
 * @property {boolean} [returned]
 * @property {number|null} [merged_into]
 * @property {number[]} [parts]
 * @property {ClipFacts[]} [clips]
 * @property {Hops} hops
 * @property {Disposition|null} [disposition]
 * @property {string|null} [closed_by]
 * @property {number|null} [closed_at_ms]
 * @property {string} [note]
 * @property {AlertFacts[]} [alerts]
 * @property {TimelineEntry[]} [timeline]
 *
 * @typedef {object} AlertFacts
 * @property {number} [sequence]
 * @property {number} [received_at_ms]
 * @property {number} [confidence]
 * @property {string} [label]
 * @property {string|null} [snapshot_url]
 * @property {number[]} [box_xyxy]
 *
 * @typedef {object} ClipFacts
 * @property {string} sha256
 * @property {number} size_bytes
 * @property {number} begins_at_ms
 * @property {string|null} url
 *
 * @typedef {object} Shelving
 * @property {string} node
 * @property {string} camera
 * @property {string} label
 * @property {string} reason
 * @property {number} minutes
 * @property {boolean} covers_flash
 *
 * @typedef {object} Shelf
 * @property {number} id
 * @property {{id: string, name: string, site: string}} node
 * @property {string} camera
 * @property {string} label
 * @property {string} reason
 * @property {string} by
 * @property {number} at_ms
 * @property {number} until_ms
 * @property {boolean} covers_flash
 * @property {string|null} agreed_by
 *
 * @typedef {object} TimelineEntry
 * @property {number} at_ms
 * @property {string} what
 * @property {string} who
 * @property {string} detail
 *
 * @typedef {object} CameraFacts
 * @property {string} camera
 * @property {string} state
 * @property {number} frames_per_s
 * @property {string} detail
 *
 * @typedef {object} FleetNode
 * @property {string} id
 * @property {string} name
 * @property {string} role
 * @property {string} site
 * @property {"waiting"|"live"|"late"|"silent"|"quarantined"|"revoked"} state
 * @property {string} [reason]
 * @property {number|null} last_heard_at_ms
 * @property {number|null} last_heard_age_ms
 * @property {number} interval_s
 * @property {[number, number][]} gaps
 * @property {number} missing
 * @property {number} forgone
 * @property {number[]} backlog
 * @property {number} oldest_waiting_s
 * @property {CameraFacts[]} cameras
 * @property {{path: string, is_up: boolean, rtt_ms: number}[]} paths
 * @property {string} model
 * @property {string} release
 */
export {};
