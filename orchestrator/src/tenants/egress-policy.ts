/**
 * What machines of tenants may reach: TCP 443 and DNS, nothing else. At Fly, the first rule of a direction makes
 * everything else of it denied (fly.io/docs/machines/guides-examples/network-policies). Traffic that comes in through
 * Fly's proxy is not subject to policies.
 */
export const egressPolicy = {
  name: 'greenroom-egress',
  selector: { all: true },
  rules: [
    {
      action: 'allow',
      direction: 'egress',
      ports: [
        { protocol: 'tcp', port: 443 },
        { protocol: 'tcp', port: 53 },
        { protocol: 'udp', port: 53 },
      ],
    },
  ],
} as const;
