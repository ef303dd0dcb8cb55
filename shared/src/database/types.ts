// Generated from supabase/schemas by `npm run generate:database` (the Supabase CLI): do not edit.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];

export type Database = {
  public: {
    Tables: {
      api_keys: {
        Row: {
          api_version: string | null;
          created_at: string;
          created_by: string | null;
          expires_at: string | null;
          id: string;
          key_hash: string;
          name: string;
          prefix: string;
          replaced_by: string | null;
          revoked_at: string | null;
          scopes: string[];
          tenant_id: string;
        };
        ComputedFields: never;
        Insert: {
          api_version?: string | null;
          created_at?: string;
          created_by?: string | null;
          expires_at?: string | null;
          id?: string;
          key_hash: string;
          name: string;
          prefix: string;
          replaced_by?: string | null;
          revoked_at?: string | null;
          scopes?: string[];
          tenant_id: string;
        };
        Update: {
          api_version?: string | null;
          created_at?: string;
          created_by?: string | null;
          expires_at?: string | null;
          id?: string;
          key_hash?: string;
          name?: string;
          prefix?: string;
          replaced_by?: string | null;
          revoked_at?: string | null;
          scopes?: string[];
          tenant_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'api_keys_replaced_by_fkey';
            columns: ['replaced_by'];
            isOneToOne: false;
            referencedRelation: 'api_keys';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'api_keys_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      api_requests: {
        Row: {
          actor: string;
          code: string | null;
          created_at: string;
          id: number;
          method: string;
          path: string;
          request_id: string;
          status: number;
          tenant_id: string;
          took_ms: number;
        };
        ComputedFields: never;
        Insert: {
          actor: string;
          code?: string | null;
          created_at: string;
          id?: never;
          method: string;
          path: string;
          request_id: string;
          status: number;
          tenant_id: string;
          took_ms: number;
        };
        Update: {
          actor?: string;
          code?: string | null;
          created_at?: string;
          id?: never;
          method?: string;
          path?: string;
          request_id?: string;
          status?: number;
          tenant_id?: string;
          took_ms?: number;
        };
        Relationships: [
          {
            foreignKeyName: 'api_requests_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      audit_log: {
        Row: {
          action: string;
          actor: string;
          created_at: string;
          details: NonNullable<Json>;
          id: number;
          outcome: string;
          remote_address: string | null;
          request_id: string | null;
          target: string | null;
          tenant_id: string | null;
        };
        ComputedFields: never;
        Insert: {
          action: string;
          actor: string;
          created_at?: string;
          details?: NonNullable<Json>;
          id?: never;
          outcome: string;
          remote_address?: string | null;
          request_id?: string | null;
          target?: string | null;
          tenant_id?: string | null;
        };
        Update: {
          action?: string;
          actor?: string;
          created_at?: string;
          details?: NonNullable<Json>;
          id?: never;
          outcome?: string;
          remote_address?: string | null;
          request_id?: string | null;
          target?: string | null;
          tenant_id?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: 'audit_log_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      brake_holds: {
        Row: {
          app_name: string;
          carried_out_at: string | null;
          ceiling: number;
          ends: NonNullable<Json>;
          held_at: string;
          id: string;
          orchestrator_id: string;
          released_at: string | null;
          released_by: string | null;
          seen_at: string;
        };
        ComputedFields: never;
        Insert: {
          app_name: string;
          carried_out_at?: string | null;
          ceiling: number;
          ends: NonNullable<Json>;
          held_at?: string;
          id?: string;
          orchestrator_id: string;
          released_at?: string | null;
          released_by?: string | null;
          seen_at?: string;
        };
        Update: {
          app_name?: string;
          carried_out_at?: string | null;
          ceiling?: number;
          ends?: NonNullable<Json>;
          held_at?: string;
          id?: string;
          orchestrator_id?: string;
          released_at?: string | null;
          released_by?: string | null;
          seen_at?: string;
        };
        Relationships: [];
      };
      candidates: {
        Row: {
          created_at: string;
          id: string;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          id?: string;
        };
        Update: {
          created_at?: string;
          id?: string;
        };
        Relationships: [];
      };
      consent_texts: {
        Row: {
          created_at: string;
          tenant_id: string;
          text: string;
          version: string;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          tenant_id: string;
          text: string;
          version: string;
        };
        Update: {
          created_at?: string;
          tenant_id?: string;
          text?: string;
          version?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'consent_texts_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      consents: {
        Row: {
          candidate_id: string;
          given_at: string;
          id: string;
          remote_address_hash: string | null;
          session_id: string;
          tenant_id: string;
          text_version: string;
        };
        ComputedFields: never;
        Insert: {
          candidate_id: string;
          given_at?: string;
          id?: string;
          remote_address_hash?: string | null;
          session_id: string;
          tenant_id: string;
          text_version: string;
        };
        Update: {
          candidate_id?: string;
          given_at?: string;
          id?: string;
          remote_address_hash?: string | null;
          session_id?: string;
          tenant_id?: string;
          text_version?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'consents_candidate_id_fkey';
            columns: ['candidate_id'];
            isOneToOne: false;
            referencedRelation: 'candidates';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'consents_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'consents_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'consents_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      duties: {
        Row: {
          expires_at: string;
          fence: number;
          holder: string | null;
          name: string;
        };
        ComputedFields: never;
        Insert: {
          expires_at?: string;
          fence?: number;
          holder?: string | null;
          name: string;
        };
        Update: {
          expires_at?: string;
          fence?: number;
          holder?: string | null;
          name?: string;
        };
        Relationships: [];
      };
      idempotency_keys: {
        Row: {
          candidate_id: string | null;
          created_at: string;
          key: string;
          request_hash: string;
          scope: string;
          sealed_answer: string | null;
          sealed_code: string | null;
          session_id: string | null;
          taken_by: string | null;
          taken_until: string | null;
          tenant_id: string | null;
        };
        ComputedFields: never;
        Insert: {
          candidate_id?: string | null;
          created_at?: string;
          key: string;
          request_hash: string;
          scope: string;
          sealed_answer?: string | null;
          sealed_code?: string | null;
          session_id?: string | null;
          taken_by?: string | null;
          taken_until?: string | null;
          tenant_id?: string | null;
        };
        Update: {
          candidate_id?: string | null;
          created_at?: string;
          key?: string;
          request_hash?: string;
          scope?: string;
          sealed_answer?: string | null;
          sealed_code?: string | null;
          session_id?: string | null;
          taken_by?: string | null;
          taken_until?: string | null;
          tenant_id?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: 'idempotency_keys_candidate_id_fkey';
            columns: ['candidate_id'];
            isOneToOne: false;
            referencedRelation: 'candidates';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'idempotency_keys_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'idempotency_keys_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'idempotency_keys_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      interview_results: {
        Row: {
          attempts: number;
          created_at: string;
          evaluated_at: string | null;
          evaluation: Json | null;
          failure: string | null;
          human_reviewed: boolean;
          id: string;
          integrity_flags: NonNullable<Json>;
          last_error: string | null;
          model: string | null;
          next_attempt_at: string;
          reruns: number;
          reviewed_at: string | null;
          reviewed_by: string | null;
          session_id: string;
          status: string;
          summary: string | null;
          taken_by: string | null;
          takes: number;
          tenant_id: string;
          transcript_revision: number;
          updated_at: string;
          wanted_revision: number;
        };
        ComputedFields: never;
        Insert: {
          attempts?: number;
          created_at?: string;
          evaluated_at?: string | null;
          evaluation?: Json | null;
          failure?: string | null;
          human_reviewed?: boolean;
          id?: string;
          integrity_flags?: NonNullable<Json>;
          last_error?: string | null;
          model?: string | null;
          next_attempt_at?: string;
          reruns?: number;
          reviewed_at?: string | null;
          reviewed_by?: string | null;
          session_id: string;
          status?: string;
          summary?: string | null;
          taken_by?: string | null;
          takes?: number;
          tenant_id: string;
          transcript_revision?: number;
          updated_at?: string;
          wanted_revision?: number;
        };
        Update: {
          attempts?: number;
          created_at?: string;
          evaluated_at?: string | null;
          evaluation?: Json | null;
          failure?: string | null;
          human_reviewed?: boolean;
          id?: string;
          integrity_flags?: NonNullable<Json>;
          last_error?: string | null;
          model?: string | null;
          next_attempt_at?: string;
          reruns?: number;
          reviewed_at?: string | null;
          reviewed_by?: string | null;
          session_id?: string;
          status?: string;
          summary?: string | null;
          taken_by?: string | null;
          takes?: number;
          tenant_id?: string;
          transcript_revision?: number;
          updated_at?: string;
          wanted_revision?: number;
        };
        Relationships: [
          {
            foreignKeyName: 'interview_results_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'interview_results_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'interview_results_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      interview_sessions: {
        Row: {
          admission: string;
          api_key_id: string | null;
          candidate: NonNullable<Json>;
          candidate_id: string;
          completed_at: string | null;
          consent_text_version: string | null;
          consent_withdrawn_at: string | null;
          counted: boolean;
          created_at: string;
          creation_traceparent: string | null;
          end_requested_at: string | null;
          epoch: number;
          expires_at: string;
          fly_machine_id: string | null;
          id: string;
          integrity: NonNullable<Json>;
          machine_id: string | null;
          max_duration_ms: number;
          metadata: NonNullable<Json>;
          on_consent_withdrawn: string;
          outcome: string | null;
          placement: string;
          position_id: string;
          presence: string;
          queue_deadline_at: string | null;
          queued_at: string | null;
          ready_at: string | null;
          reason: string | null;
          region: string | null;
          region_reason: string | null;
          regions: string[];
          scheduled_at: string | null;
          settings: NonNullable<Json>;
          simulated: boolean;
          started_at: string | null;
          state_rank: number;
          status: string;
          tenant_id: string;
          test: boolean;
          traceparent: string | null;
          transcript_complete: boolean;
          transcript_erased_at: string | null;
          transcript_revision: number;
          updated_at: string;
          user_id: string | null;
          video_erased_at: string | null;
          video_recording_id: string | null;
          video_recording_url: string | null;
          withdrawal_settled_at: string | null;
        };
        ComputedFields: never;
        Insert: {
          admission?: string;
          api_key_id?: string | null;
          candidate: NonNullable<Json>;
          candidate_id: string;
          completed_at?: string | null;
          consent_text_version?: string | null;
          consent_withdrawn_at?: string | null;
          counted?: boolean;
          created_at?: string;
          creation_traceparent?: string | null;
          end_requested_at?: string | null;
          epoch?: number;
          expires_at: string;
          fly_machine_id?: string | null;
          id?: string;
          integrity?: NonNullable<Json>;
          machine_id?: string | null;
          max_duration_ms?: number;
          metadata?: NonNullable<Json>;
          on_consent_withdrawn?: string;
          outcome?: string | null;
          placement?: string;
          position_id: string;
          presence?: string;
          queue_deadline_at?: string | null;
          queued_at?: string | null;
          ready_at?: string | null;
          reason?: string | null;
          region?: string | null;
          region_reason?: string | null;
          regions?: string[];
          scheduled_at?: string | null;
          settings?: NonNullable<Json>;
          simulated?: boolean;
          started_at?: string | null;
          state_rank?: never;
          status?: string;
          tenant_id: string;
          test?: boolean;
          traceparent?: string | null;
          transcript_complete?: boolean;
          transcript_erased_at?: string | null;
          transcript_revision?: number;
          updated_at?: string;
          user_id?: string | null;
          video_erased_at?: string | null;
          video_recording_id?: string | null;
          video_recording_url?: string | null;
          withdrawal_settled_at?: string | null;
        };
        Update: {
          admission?: string;
          api_key_id?: string | null;
          candidate?: NonNullable<Json>;
          candidate_id?: string;
          completed_at?: string | null;
          consent_text_version?: string | null;
          consent_withdrawn_at?: string | null;
          counted?: boolean;
          created_at?: string;
          creation_traceparent?: string | null;
          end_requested_at?: string | null;
          epoch?: number;
          expires_at?: string;
          fly_machine_id?: string | null;
          id?: string;
          integrity?: NonNullable<Json>;
          machine_id?: string | null;
          max_duration_ms?: number;
          metadata?: NonNullable<Json>;
          on_consent_withdrawn?: string;
          outcome?: string | null;
          placement?: string;
          position_id?: string;
          presence?: string;
          queue_deadline_at?: string | null;
          queued_at?: string | null;
          ready_at?: string | null;
          reason?: string | null;
          region?: string | null;
          region_reason?: string | null;
          regions?: string[];
          scheduled_at?: string | null;
          settings?: NonNullable<Json>;
          simulated?: boolean;
          started_at?: string | null;
          state_rank?: never;
          status?: string;
          tenant_id?: string;
          test?: boolean;
          traceparent?: string | null;
          transcript_complete?: boolean;
          transcript_erased_at?: string | null;
          transcript_revision?: number;
          updated_at?: string;
          user_id?: string | null;
          video_erased_at?: string | null;
          video_recording_id?: string | null;
          video_recording_url?: string | null;
          withdrawal_settled_at?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: 'interview_sessions_api_key_id_fkey';
            columns: ['api_key_id'];
            isOneToOne: false;
            referencedRelation: 'api_keys';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'interview_sessions_candidate_id_fkey';
            columns: ['candidate_id'];
            isOneToOne: false;
            referencedRelation: 'candidates';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'interview_sessions_machine_id_fkey';
            columns: ['machine_id'];
            isOneToOne: false;
            referencedRelation: 'machines';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'interview_sessions_tenant_id_candidate_id_fkey';
            columns: ['tenant_id', 'candidate_id'];
            isOneToOne: false;
            referencedRelation: 'tenant_candidates';
            referencedColumns: ['tenant_id', 'candidate_id'];
          },
          {
            foreignKeyName: 'interview_sessions_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'interview_sessions_tenant_id_position_id_fkey';
            columns: ['tenant_id', 'position_id'];
            isOneToOne: false;
            referencedRelation: 'positions';
            referencedColumns: ['tenant_id', 'id'];
          },
        ];
      };
      machine_usage: {
        Row: {
          cost_usd: number;
          hot_cost_usd: number;
          hot_seconds: number;
          machine_id: string;
          recorded_at: string;
          region: string;
          session_id: string | null;
          size: string;
          standby_cost_usd: number;
          standby_seconds: number;
          started_seconds: number;
          tenant_id: string;
          test: boolean;
        };
        ComputedFields: never;
        Insert: {
          cost_usd: number;
          hot_cost_usd?: number;
          hot_seconds?: number;
          machine_id: string;
          recorded_at?: string;
          region: string;
          session_id?: string | null;
          size: string;
          standby_cost_usd?: number;
          standby_seconds?: number;
          started_seconds: number;
          tenant_id: string;
          test?: boolean;
        };
        Update: {
          cost_usd?: number;
          hot_cost_usd?: number;
          hot_seconds?: number;
          machine_id?: string;
          recorded_at?: string;
          region?: string;
          session_id?: string | null;
          size?: string;
          standby_cost_usd?: number;
          standby_seconds?: number;
          started_seconds?: number;
          tenant_id?: string;
          test?: boolean;
        };
        Relationships: [
          {
            foreignKeyName: 'machine_usage_machine_id_fkey';
            columns: ['machine_id'];
            isOneToOne: true;
            referencedRelation: 'machines';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'machine_usage_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'machine_usage_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'machine_usage_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      machines: {
        Row: {
          answered_at: string | null;
          app_name: string;
          asked_at: string | null;
          assigned_at: string | null;
          attempt: number;
          billed_at: string | null;
          boot_nonce: string | null;
          booted_at: string | null;
          claimed_at: string | null;
          confirmed_at: string | null;
          counts: NonNullable<Json>;
          counts_epoch: number | null;
          created_at: string | null;
          destroyed_at: string | null;
          destroying_at: string | null;
          draining_at: string | null;
          epoch: number | null;
          evidence: string | null;
          first_absent_at: string | null;
          fly_machine_id: string | null;
          fly_request_id: string | null;
          hard_deadline_at: string | null;
          host_bad_since: string | null;
          hot: boolean;
          id: string;
          image: string;
          last_heartbeat_at: string | null;
          lease_expires_at: string | null;
          life_rank: number;
          name: string;
          not_before: string;
          reason: string | null;
          region: string;
          reserved_at: string;
          rss_bytes: number | null;
          session_id: string | null;
          start_requested_at: string | null;
          started_at: string | null;
          state: string;
          taken_by: string | null;
          taken_until: string | null;
          tenant_id: string;
          unreachable_since: string | null;
          unsaved_entries: number | null;
        };
        ComputedFields: never;
        Insert: {
          answered_at?: string | null;
          app_name: string;
          asked_at?: string | null;
          assigned_at?: string | null;
          attempt?: number;
          billed_at?: string | null;
          boot_nonce?: string | null;
          booted_at?: string | null;
          claimed_at?: string | null;
          confirmed_at?: string | null;
          counts?: NonNullable<Json>;
          counts_epoch?: number | null;
          created_at?: string | null;
          destroyed_at?: string | null;
          destroying_at?: string | null;
          draining_at?: string | null;
          epoch?: number | null;
          evidence?: string | null;
          first_absent_at?: string | null;
          fly_machine_id?: string | null;
          fly_request_id?: string | null;
          hard_deadline_at?: string | null;
          host_bad_since?: string | null;
          hot?: boolean;
          id?: string;
          image: string;
          last_heartbeat_at?: string | null;
          lease_expires_at?: string | null;
          life_rank?: never;
          name?: never;
          not_before?: string;
          reason?: string | null;
          region: string;
          reserved_at?: string;
          rss_bytes?: number | null;
          session_id?: string | null;
          start_requested_at?: string | null;
          started_at?: string | null;
          state?: string;
          taken_by?: string | null;
          taken_until?: string | null;
          tenant_id: string;
          unreachable_since?: string | null;
          unsaved_entries?: number | null;
        };
        Update: {
          answered_at?: string | null;
          app_name?: string;
          asked_at?: string | null;
          assigned_at?: string | null;
          attempt?: number;
          billed_at?: string | null;
          boot_nonce?: string | null;
          booted_at?: string | null;
          claimed_at?: string | null;
          confirmed_at?: string | null;
          counts?: NonNullable<Json>;
          counts_epoch?: number | null;
          created_at?: string | null;
          destroyed_at?: string | null;
          destroying_at?: string | null;
          draining_at?: string | null;
          epoch?: number | null;
          evidence?: string | null;
          first_absent_at?: string | null;
          fly_machine_id?: string | null;
          fly_request_id?: string | null;
          hard_deadline_at?: string | null;
          host_bad_since?: string | null;
          hot?: boolean;
          id?: string;
          image?: string;
          last_heartbeat_at?: string | null;
          lease_expires_at?: string | null;
          life_rank?: never;
          name?: never;
          not_before?: string;
          reason?: string | null;
          region?: string;
          reserved_at?: string;
          rss_bytes?: number | null;
          session_id?: string | null;
          start_requested_at?: string | null;
          started_at?: string | null;
          state?: string;
          taken_by?: string | null;
          taken_until?: string | null;
          tenant_id?: string;
          unreachable_since?: string | null;
          unsaved_entries?: number | null;
        };
        Relationships: [
          {
            foreignKeyName: 'machines_app_name_fkey';
            columns: ['app_name'];
            isOneToOne: false;
            referencedRelation: 'tenant_apps';
            referencedColumns: ['name'];
          },
          {
            foreignKeyName: 'machines_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'machines_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'machines_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      orchestrators: {
        Row: {
          draining: boolean;
          id: string;
          last_seen_at: string;
          started_at: string;
          url: string;
          version: string;
          worker_image: string | null;
        };
        ComputedFields: never;
        Insert: {
          draining?: boolean;
          id: string;
          last_seen_at?: string;
          started_at?: string;
          url: string;
          version: string;
          worker_image?: string | null;
        };
        Update: {
          draining?: boolean;
          id?: string;
          last_seen_at?: string;
          started_at?: string;
          url?: string;
          version?: string;
          worker_image?: string | null;
        };
        Relationships: [];
      };
      pool_policies: {
        Row: {
          ceiling: number;
          created_at: string;
          floor: number;
          hot_ceiling: number;
          hot_floor: number;
          region: string;
          tenant_id: string;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          ceiling?: number;
          created_at?: string;
          floor?: number;
          hot_ceiling?: number;
          hot_floor?: number;
          region: string;
          tenant_id: string;
          updated_at?: string;
        };
        Update: {
          ceiling?: number;
          created_at?: string;
          floor?: number;
          hot_ceiling?: number;
          hot_floor?: number;
          region?: string;
          tenant_id?: string;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'pool_policies_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      positions: {
        Row: {
          created_at: string;
          description: string | null;
          id: string;
          tenant_id: string;
          title: string;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          description?: string | null;
          id?: string;
          tenant_id: string;
          title: string;
          updated_at?: string;
        };
        Update: {
          created_at?: string;
          description?: string | null;
          id?: string;
          tenant_id?: string;
          title?: string;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'positions_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      provider_credentials: {
        Row: {
          base_url: string | null;
          ciphertext: string;
          created_at: string;
          key_id: string;
          provider: string;
          rotated_at: string | null;
          tenant_id: string;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          base_url?: string | null;
          ciphertext: string;
          created_at?: string;
          key_id: string;
          provider: string;
          rotated_at?: string | null;
          tenant_id: string;
          updated_at?: string;
        };
        Update: {
          base_url?: string | null;
          ciphertext?: string;
          created_at?: string;
          key_id?: string;
          provider?: string;
          rotated_at?: string | null;
          tenant_id?: string;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'provider_credentials_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      rate_limits: {
        Row: {
          next_at: string;
          scope: string;
        };
        ComputedFields: never;
        Insert: {
          next_at: string;
          scope: string;
        };
        Update: {
          next_at?: string;
          scope?: string;
        };
        Relationships: [];
      };
      realtime_calls: {
        Row: {
          answered_at: string | null;
          call_id: string | null;
          credential_ciphertext: string | null;
          credential_expires_at: string | null;
          epoch: number;
          hang_up_attempts: number;
          hung_up_at: string | null;
          id: string;
          missing_since: string | null;
          next_hang_up_at: string | null;
          opened_at: string;
          ordinal: number;
          provider: string;
          session_id: string;
          tenant_id: string;
        };
        ComputedFields: never;
        Insert: {
          answered_at?: string | null;
          call_id?: string | null;
          credential_ciphertext?: string | null;
          credential_expires_at?: string | null;
          epoch: number;
          hang_up_attempts?: number;
          hung_up_at?: string | null;
          id?: string;
          missing_since?: string | null;
          next_hang_up_at?: string | null;
          opened_at?: string;
          ordinal: number;
          provider: string;
          session_id: string;
          tenant_id: string;
        };
        Update: {
          answered_at?: string | null;
          call_id?: string | null;
          credential_ciphertext?: string | null;
          credential_expires_at?: string | null;
          epoch?: number;
          hang_up_attempts?: number;
          hung_up_at?: string | null;
          id?: string;
          missing_since?: string | null;
          next_hang_up_at?: string | null;
          opened_at?: string;
          ordinal?: number;
          provider?: string;
          session_id?: string;
          tenant_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'realtime_calls_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'realtime_calls_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'realtime_calls_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      region_drains: {
        Row: {
          drained_at: string;
          drained_by: string;
          region: string;
          until: string | null;
          why: string;
        };
        ComputedFields: never;
        Insert: {
          drained_at?: string;
          drained_by: string;
          region: string;
          until?: string | null;
          why: string;
        };
        Update: {
          drained_at?: string;
          drained_by?: string;
          region?: string;
          until?: string | null;
          why?: string;
        };
        Relationships: [];
      };
      session_events: {
        Row: {
          created_at: string;
          data: NonNullable<Json>;
          id: number;
          session_id: string | null;
          tenant_id: string;
          type: string;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          data?: NonNullable<Json>;
          id?: never;
          session_id?: string | null;
          tenant_id: string;
          type: string;
        };
        Update: {
          created_at?: string;
          data?: NonNullable<Json>;
          id?: never;
          session_id?: string | null;
          tenant_id?: string;
          type?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'session_events_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'session_events_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'session_events_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      session_invitations: {
        Row: {
          browser_hash: string | null;
          code_hash: string;
          created_at: string;
          expires_at: string;
          handover_at: string | null;
          handover_expires_at: string | null;
          handover_hash: string | null;
          handover_tries: number;
          id: string;
          replaces: string | null;
          revoked_at: string | null;
          session_id: string;
          tenant_id: string;
          used_at: string | null;
        };
        ComputedFields: never;
        Insert: {
          browser_hash?: string | null;
          code_hash: string;
          created_at?: string;
          expires_at: string;
          handover_at?: string | null;
          handover_expires_at?: string | null;
          handover_hash?: string | null;
          handover_tries?: number;
          id?: string;
          replaces?: string | null;
          revoked_at?: string | null;
          session_id: string;
          tenant_id: string;
          used_at?: string | null;
        };
        Update: {
          browser_hash?: string | null;
          code_hash?: string;
          created_at?: string;
          expires_at?: string;
          handover_at?: string | null;
          handover_expires_at?: string | null;
          handover_hash?: string | null;
          handover_tries?: number;
          id?: string;
          replaces?: string | null;
          revoked_at?: string | null;
          session_id?: string;
          tenant_id?: string;
          used_at?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: 'session_invitations_replaces_fkey';
            columns: ['replaces'];
            isOneToOne: false;
            referencedRelation: 'session_invitations';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'session_invitations_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'session_invitations_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'session_invitations_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      session_phases: {
        Row: {
          answered_at: string | null;
          asked_at: string | null;
          attempts: number;
          begun_at: string | null;
          booted_at: string | null;
          call_answered_at: string | null;
          connected_at: string | null;
          credential_at: string | null;
          due_at: string | null;
          earlier: NonNullable<Json>;
          edge_wait_ms: number | null;
          fly_request_id: string | null;
          joined_at: string | null;
          looked_at: string | null;
          machine_id: string | null;
          offered_at: string | null;
          path: string | null;
          ready_at: string | null;
          region: string | null;
          reserved_at: string | null;
          session_id: string;
          slot_at: string | null;
          slot_count: number | null;
          slot_place: number | null;
          socket_at: string | null;
          spoke_at: string | null;
          standby_kept: number | null;
          start_ms: number | null;
          started_at: string | null;
          tenant_id: string;
          voice_ms: number | null;
          wanted_region: string | null;
        };
        ComputedFields: never;
        Insert: {
          answered_at?: string | null;
          asked_at?: string | null;
          attempts?: number;
          begun_at?: string | null;
          booted_at?: string | null;
          call_answered_at?: string | null;
          connected_at?: string | null;
          credential_at?: string | null;
          due_at?: string | null;
          earlier?: NonNullable<Json>;
          edge_wait_ms?: number | null;
          fly_request_id?: string | null;
          joined_at?: string | null;
          looked_at?: string | null;
          machine_id?: string | null;
          offered_at?: string | null;
          path?: string | null;
          ready_at?: string | null;
          region?: string | null;
          reserved_at?: string | null;
          session_id: string;
          slot_at?: string | null;
          slot_count?: number | null;
          slot_place?: number | null;
          socket_at?: string | null;
          spoke_at?: string | null;
          standby_kept?: number | null;
          start_ms?: never;
          started_at?: string | null;
          tenant_id: string;
          voice_ms?: never;
          wanted_region?: string | null;
        };
        Update: {
          answered_at?: string | null;
          asked_at?: string | null;
          attempts?: number;
          begun_at?: string | null;
          booted_at?: string | null;
          call_answered_at?: string | null;
          connected_at?: string | null;
          credential_at?: string | null;
          due_at?: string | null;
          earlier?: NonNullable<Json>;
          edge_wait_ms?: number | null;
          fly_request_id?: string | null;
          joined_at?: string | null;
          looked_at?: string | null;
          machine_id?: string | null;
          offered_at?: string | null;
          path?: string | null;
          ready_at?: string | null;
          region?: string | null;
          reserved_at?: string | null;
          session_id?: string;
          slot_at?: string | null;
          slot_count?: number | null;
          slot_place?: number | null;
          socket_at?: string | null;
          spoke_at?: string | null;
          standby_kept?: number | null;
          start_ms?: never;
          started_at?: string | null;
          tenant_id?: string;
          voice_ms?: never;
          wanted_region?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: 'session_phases_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'session_phases_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'session_phases_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      simulations: {
        Row: {
          created_at: string;
          cut_at: string | null;
          ended_at: string | null;
          failure: string | null;
          script: string;
          session_id: string;
          status: string;
          taken_until: string | null;
          takes: number;
          tenant_id: string;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          cut_at?: string | null;
          ended_at?: string | null;
          failure?: string | null;
          script: string;
          session_id: string;
          status?: string;
          taken_until?: string | null;
          takes?: number;
          tenant_id: string;
        };
        Update: {
          created_at?: string;
          cut_at?: string | null;
          ended_at?: string | null;
          failure?: string | null;
          script?: string;
          session_id?: string;
          status?: string;
          taken_until?: string | null;
          takes?: number;
          tenant_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'simulations_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'simulations_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'simulations_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      tenant_apps: {
        Row: {
          create_burst: number;
          created_at: string;
          creates_per_second: number;
          name: string;
          network: string;
          next_create_at: string;
          next_list_at: string;
          status: string;
          tenant_id: string;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          create_burst?: number;
          created_at?: string;
          creates_per_second?: number;
          name: string;
          network: string;
          next_create_at?: string;
          next_list_at?: string;
          status?: string;
          tenant_id: string;
          updated_at?: string;
        };
        Update: {
          create_burst?: number;
          created_at?: string;
          creates_per_second?: number;
          name?: string;
          network?: string;
          next_create_at?: string;
          next_list_at?: string;
          status?: string;
          tenant_id?: string;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'tenant_apps_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      tenant_candidates: {
        Row: {
          candidate_id: string;
          created_at: string;
          email: string | null;
          erased_at: string | null;
          erasure_requested_at: string | null;
          erasure_requested_by: Json | null;
          external_id: string | null;
          name: string;
          status: string | null;
          tenant_id: string;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          candidate_id?: string;
          created_at?: string;
          email?: string | null;
          erased_at?: string | null;
          erasure_requested_at?: string | null;
          erasure_requested_by?: Json | null;
          external_id?: string | null;
          name: string;
          status?: string | null;
          tenant_id: string;
          updated_at?: string;
        };
        Update: {
          candidate_id?: string;
          created_at?: string;
          email?: string | null;
          erased_at?: string | null;
          erasure_requested_at?: string | null;
          erasure_requested_by?: Json | null;
          external_id?: string | null;
          name?: string;
          status?: string | null;
          tenant_id?: string;
          updated_at?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'tenant_candidates_candidate_id_fkey';
            columns: ['candidate_id'];
            isOneToOne: false;
            referencedRelation: 'candidates';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'tenant_candidates_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      tenant_counters: {
        Row: {
          live_sessions: number;
          next_start_at: string;
          quota_reached_at: string;
          tenant_id: string;
        };
        ComputedFields: never;
        Insert: {
          live_sessions?: number;
          next_start_at?: string;
          quota_reached_at?: string;
          tenant_id: string;
        };
        Update: {
          live_sessions?: number;
          next_start_at?: string;
          quota_reached_at?: string;
          tenant_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'tenant_counters_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: true;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      tenant_users: {
        Row: {
          created_at: string;
          role: string;
          tenant_id: string;
          user_id: string;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          role?: string;
          tenant_id: string;
          user_id: string;
        };
        Update: {
          created_at?: string;
          role?: string;
          tenant_id?: string;
          user_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'tenant_users_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      tenants: {
        Row: {
          allowed_origins: string[];
          allowed_regions: string[] | null;
          audit_days: number | null;
          consent_text_version: string | null;
          created_at: string;
          event_days: number | null;
          id: string;
          live_tenant_id: string | null;
          max_duration_ms: number;
          max_live_sessions: number;
          max_standby: number;
          name: string;
          on_consent_withdrawn: string;
          require_consent: boolean;
          settings: NonNullable<Json>;
          slug: string;
          starts_per_minute: number | null;
          status: string;
          test: boolean;
          transcript_days: number | null;
          updated_at: string;
          usage_days: number | null;
          video_days: number | null;
        };
        ComputedFields: never;
        Insert: {
          allowed_origins?: string[];
          allowed_regions?: string[] | null;
          audit_days?: number | null;
          consent_text_version?: string | null;
          created_at?: string;
          event_days?: number | null;
          id?: string;
          live_tenant_id?: string | null;
          max_duration_ms?: number;
          max_live_sessions?: number;
          max_standby?: number;
          name: string;
          on_consent_withdrawn?: string;
          require_consent?: boolean;
          settings?: NonNullable<Json>;
          slug: string;
          starts_per_minute?: number | null;
          status?: string;
          test?: never;
          transcript_days?: number | null;
          updated_at?: string;
          usage_days?: number | null;
          video_days?: number | null;
        };
        Update: {
          allowed_origins?: string[];
          allowed_regions?: string[] | null;
          audit_days?: number | null;
          consent_text_version?: string | null;
          created_at?: string;
          event_days?: number | null;
          id?: string;
          live_tenant_id?: string | null;
          max_duration_ms?: number;
          max_live_sessions?: number;
          max_standby?: number;
          name?: string;
          on_consent_withdrawn?: string;
          require_consent?: boolean;
          settings?: NonNullable<Json>;
          slug?: string;
          starts_per_minute?: number | null;
          status?: string;
          test?: never;
          transcript_days?: number | null;
          updated_at?: string;
          usage_days?: number | null;
          video_days?: number | null;
        };
        Relationships: [
          {
            foreignKeyName: 'tenants_live_tenant_id_fkey';
            columns: ['live_tenant_id'];
            isOneToOne: true;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      transcript_entries: {
        Row: {
          arrival: number;
          call_ordinal: number;
          confidence: number | null;
          corrected_at: string | null;
          correction: string | null;
          created_at: string;
          end_ms: number | null;
          id: string;
          interrupted: boolean;
          item_id: string;
          previous_item_id: string | null;
          session_id: string;
          speaker: string;
          start_ms: number | null;
          tenant_id: string;
          text: string;
          updated_at: string;
          verified: boolean;
        };
        ComputedFields: never;
        Insert: {
          arrival?: number;
          call_ordinal: number;
          confidence?: number | null;
          corrected_at?: string | null;
          correction?: string | null;
          created_at?: string;
          end_ms?: number | null;
          id?: string;
          interrupted?: boolean;
          item_id: string;
          previous_item_id?: string | null;
          session_id: string;
          speaker: string;
          start_ms?: number | null;
          tenant_id: string;
          text: string;
          updated_at?: string;
          verified: boolean;
        };
        Update: {
          arrival?: number;
          call_ordinal?: number;
          confidence?: number | null;
          corrected_at?: string | null;
          correction?: string | null;
          created_at?: string;
          end_ms?: number | null;
          id?: string;
          interrupted?: boolean;
          item_id?: string;
          previous_item_id?: string | null;
          session_id?: string;
          speaker?: string;
          start_ms?: number | null;
          tenant_id?: string;
          text?: string;
          updated_at?: string;
          verified?: boolean;
        };
        Relationships: [
          {
            foreignKeyName: 'transcript_entries_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'transcript_entries_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'transcript_entries_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      transcript_writes: {
        Row: {
          characters: number;
          copied_characters: number;
          copies: number;
          corrections: number;
          entries: number;
          late_copies: number;
          late_entries: number;
          session_id: string;
          tenant_id: string;
        };
        ComputedFields: never;
        Insert: {
          characters?: number;
          copied_characters?: number;
          copies?: number;
          corrections?: number;
          entries?: number;
          late_copies?: number;
          late_entries?: number;
          session_id: string;
          tenant_id: string;
        };
        Update: {
          characters?: number;
          copied_characters?: number;
          copies?: number;
          corrections?: number;
          entries?: number;
          late_copies?: number;
          late_entries?: number;
          session_id?: string;
          tenant_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'transcript_writes_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'transcript_writes_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: true;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'transcript_writes_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      video_deletions: {
        Row: {
          attempts: number;
          cause: string;
          created_at: string;
          deleted_at: string | null;
          last_error: string | null;
          next_attempt_at: string;
          tenant_id: string;
          video_id: string;
        };
        ComputedFields: never;
        Insert: {
          attempts?: number;
          cause: string;
          created_at?: string;
          deleted_at?: string | null;
          last_error?: string | null;
          next_attempt_at?: string;
          tenant_id: string;
          video_id: string;
        };
        Update: {
          attempts?: number;
          cause?: string;
          created_at?: string;
          deleted_at?: string | null;
          last_error?: string | null;
          next_attempt_at?: string;
          tenant_id?: string;
          video_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'video_deletions_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      video_events: {
        Row: {
          body_hash: string;
          ordinal: number;
          received_at: string;
          session_id: string;
          type: string;
        };
        ComputedFields: never;
        Insert: {
          body_hash: string;
          ordinal: number;
          received_at?: string;
          session_id: string;
          type: string;
        };
        Update: {
          body_hash?: string;
          ordinal?: number;
          received_at?: string;
          session_id?: string;
          type?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'video_events_session_id_ordinal_fkey';
            columns: ['session_id', 'ordinal'];
            isOneToOne: false;
            referencedRelation: 'video_jobs';
            referencedColumns: ['session_id', 'ordinal'];
          },
        ];
      };
      video_jobs: {
        Row: {
          attempts: number;
          created_at: string;
          ended_at: string | null;
          failure: string | null;
          next_attempt_at: string;
          ordinal: number;
          session_id: string;
          started_at: string | null;
          state: string;
          takes: number;
          tenant_id: string;
          token_ciphertext: string | null;
          token_expires_at: string | null;
          updated_at: string;
          video_id: string | null;
        };
        ComputedFields: never;
        Insert: {
          attempts?: number;
          created_at?: string;
          ended_at?: string | null;
          failure?: string | null;
          next_attempt_at?: string;
          ordinal: number;
          session_id: string;
          started_at?: string | null;
          state?: string;
          takes?: number;
          tenant_id: string;
          token_ciphertext?: string | null;
          token_expires_at?: string | null;
          updated_at?: string;
          video_id?: string | null;
        };
        Update: {
          attempts?: number;
          created_at?: string;
          ended_at?: string | null;
          failure?: string | null;
          next_attempt_at?: string;
          ordinal?: number;
          session_id?: string;
          started_at?: string | null;
          state?: string;
          takes?: number;
          tenant_id?: string;
          token_ciphertext?: string | null;
          token_expires_at?: string | null;
          updated_at?: string;
          video_id?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: 'video_jobs_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'video_jobs_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'video_jobs_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      video_segments: {
        Row: {
          created_at: string;
          end_ms: number | null;
          id: string;
          session_id: string;
          start_ms: number | null;
          tenant_id: string;
          url: string | null;
          video_id: string;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          end_ms?: number | null;
          id?: string;
          session_id: string;
          start_ms?: number | null;
          tenant_id: string;
          url?: string | null;
          video_id: string;
        };
        Update: {
          created_at?: string;
          end_ms?: number | null;
          id?: string;
          session_id?: string;
          start_ms?: number | null;
          tenant_id?: string;
          url?: string | null;
          video_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'video_segments_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'video_segments_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'video_segments_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      webhook_deliveries: {
        Row: {
          attempts: number;
          created_at: string;
          delivered_at: string | null;
          endpoint_id: string;
          event_id: number | null;
          holds: boolean;
          id: string;
          last_error: string | null;
          last_status: number | null;
          log: NonNullable<Json>;
          next_attempt_at: string;
          payload: NonNullable<Json>;
          session_id: string | null;
          status: string;
          taken_until: string | null;
          tenant_id: string;
          type: string;
        };
        ComputedFields: never;
        Insert: {
          attempts?: number;
          created_at?: string;
          delivered_at?: string | null;
          endpoint_id: string;
          event_id?: number | null;
          holds?: boolean;
          id?: string;
          last_error?: string | null;
          last_status?: number | null;
          log?: NonNullable<Json>;
          next_attempt_at?: string;
          payload: NonNullable<Json>;
          session_id?: string | null;
          status?: string;
          taken_until?: string | null;
          tenant_id: string;
          type: string;
        };
        Update: {
          attempts?: number;
          created_at?: string;
          delivered_at?: string | null;
          endpoint_id?: string;
          event_id?: number | null;
          holds?: boolean;
          id?: string;
          last_error?: string | null;
          last_status?: number | null;
          log?: NonNullable<Json>;
          next_attempt_at?: string;
          payload?: NonNullable<Json>;
          session_id?: string | null;
          status?: string;
          taken_until?: string | null;
          tenant_id?: string;
          type?: string;
        };
        Relationships: [
          {
            foreignKeyName: 'webhook_deliveries_endpoint_id_fkey';
            columns: ['endpoint_id'];
            isOneToOne: false;
            referencedRelation: 'webhook_endpoints';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'webhook_deliveries_event_id_fkey';
            columns: ['event_id'];
            isOneToOne: false;
            referencedRelation: 'session_events';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'webhook_deliveries_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_sessions';
            referencedColumns: ['id'];
          },
          {
            foreignKeyName: 'webhook_deliveries_session_id_fkey';
            columns: ['session_id'];
            isOneToOne: false;
            referencedRelation: 'interview_transcripts';
            referencedColumns: ['session_id'];
          },
          {
            foreignKeyName: 'webhook_deliveries_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
      webhook_endpoints: {
        Row: {
          created_at: string;
          disabled_reason: string | null;
          enabled: boolean;
          events: string[];
          failing_since: string | null;
          failures: number;
          id: string;
          key_id: string;
          payload: string;
          previous_secret_ciphertext: string | null;
          previous_secret_until: string | null;
          secret_ciphertext: string;
          tenant_id: string;
          updated_at: string;
          url: string;
          warned_at: string | null;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string;
          disabled_reason?: string | null;
          enabled?: boolean;
          events?: string[];
          failing_since?: string | null;
          failures?: number;
          id?: string;
          key_id: string;
          payload?: string;
          previous_secret_ciphertext?: string | null;
          previous_secret_until?: string | null;
          secret_ciphertext: string;
          tenant_id: string;
          updated_at?: string;
          url: string;
          warned_at?: string | null;
        };
        Update: {
          created_at?: string;
          disabled_reason?: string | null;
          enabled?: boolean;
          events?: string[];
          failing_since?: string | null;
          failures?: number;
          id?: string;
          key_id?: string;
          payload?: string;
          previous_secret_ciphertext?: string | null;
          previous_secret_until?: string | null;
          secret_ciphertext?: string;
          tenant_id?: string;
          updated_at?: string;
          url?: string;
          warned_at?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: 'webhook_endpoints_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
    };
    Views: {
      interview_transcripts: {
        Row: {
          complete: boolean;
          created_at: string;
          revision: number;
          session_id: string;
          status: string;
          tenant_id: string;
          transcript: string | null;
          updated_at: string;
        };
        ComputedFields: never;
        Insert: {
          complete?: boolean | null;
          created_at?: string | null;
          revision?: number | null;
          session_id?: string | null;
          status?: string | null;
          tenant_id?: string | null;
          transcript?: never;
          updated_at?: string | null;
        };
        Update: {
          complete?: boolean | null;
          created_at?: string | null;
          revision?: number | null;
          session_id?: string | null;
          status?: string | null;
          tenant_id?: string | null;
          transcript?: never;
          updated_at?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: 'interview_sessions_tenant_id_fkey';
            columns: ['tenant_id'];
            isOneToOne: false;
            referencedRelation: 'tenants';
            referencedColumns: ['id'];
          },
        ];
      };
    };
    Functions: {
      admit_queued: { Args: { p_launch: Json; p_limit?: number }; Returns: Json };
      announce_image: { Args: { p_image: string; p_orchestrator_id: string }; Returns: boolean };
      app_ready: { Args: { p_name: string }; Returns: boolean };
      app_removed: { Args: { p_name: string }; Returns: Json };
      append_transcript: { Args: { p_entries: Json }; Returns: string[] };
      apply_pool_plan: {
        Args: { p_hot_life_ms: number; p_image: string; p_orchestrator_id: string; p_plan: Json; p_taken_ms: number };
        Returns: Json;
      };
      apps_with_machines: { Args: Record<PropertyKey, never>; Returns: Json };
      authenticate_api_keys: { Args: { p_hashes: string[] }; Returns: Json };
      begin_on_join: {
        Args: { p_launch: Json; p_region_reason: string; p_regions: string[]; p_session_id: string };
        Returns: Json;
      };
      calls_to_hang_up: { Args: { p_limit?: number; p_retry_ms?: number }; Returns: Json };
      change_candidate: {
        Args: { p_candidate_id: string; p_changes: Json; p_if_updated_at?: string; p_tenant_id: string };
        Returns: Json;
      };
      change_position: {
        Args: { p_changes: Json; p_if_updated_at?: string; p_position_id: string; p_tenant_id: string };
        Returns: Json;
      };
      change_webhook: {
        Args: { p_by: Json; p_changes: Json; p_id: string; p_if_updated_at?: string; p_tenant_id: string };
        Returns: Json;
      };
      claim_sessions: { Args: { p_claims: Json; p_lease_ms: number; p_life_ms: number }; Returns: Json };
      correct_entry: {
        Args: {
          p_browser_hash: string;
          p_code_hash: string;
          p_correction: string;
          p_item_id: string;
          p_ordinal: number;
          p_session_id: string;
        };
        Returns: Json;
      };
      create_api_key: {
        Args: {
          p_api_version?: string;
          p_by: Json;
          p_created_by?: string;
          p_expires_ms?: number;
          p_key_hash: string;
          p_name: string;
          p_prefix: string;
          p_scopes: string[];
          p_tenant_id: string;
        };
        Returns: Json;
      };
      create_candidate: { Args: { p_candidate: Json; p_tenant_id: string }; Returns: Json };
      create_invitation: {
        Args: { p_by: Json; p_code_hash: string; p_expires_ms: number; p_session_id: string; p_tenant_id: string };
        Returns: Json;
      };
      create_position: { Args: { p_position: Json; p_tenant_id: string }; Returns: Json };
      create_sessions: { Args: { p_requests: Json }; Returns: Json };
      create_webhook: {
        Args: {
          p_by: Json;
          p_events: string[];
          p_id: string;
          p_key_id: string;
          p_payload: string;
          p_secret_ciphertext: string;
          p_tenant_id: string;
          p_url: string;
        };
        Returns: Json;
      };
      decide_withdrawal: {
        Args: { p_by: Json; p_decision: string; p_session_id: string; p_why: string };
        Returns: Json;
      };
      decline_consent: { Args: { p_browser_hash: string; p_code_hash: string; p_session_id: string }; Returns: Json };
      delete_provider_credential: { Args: { p_by: Json; p_provider: string; p_tenant_id: string }; Returns: boolean };
      delete_recording: {
        Args: { p_by: Json; p_session_id: string; p_tenant_id: string; p_video_id: string };
        Returns: string;
      };
      delete_webhook: { Args: { p_by: Json; p_id: string; p_tenant_id: string }; Returns: boolean };
      drained_regions: { Args: Record<PropertyKey, never>; Returns: Json };
      draw_list_slots: { Args: { p_apps: string[]; p_max_wait_ms?: number; p_urgent?: boolean }; Returns: Json };
      draw_rate_limits: { Args: { p_limits: Json }; Returns: number };
      end_simulation: { Args: { p_failure?: string; p_session_id: string; p_take: number }; Returns: boolean };
      erase_candidate: { Args: { p_by: Json; p_candidate_id: string; p_tenant_id: string }; Returns: Json };
      erase_withdrawn: { Args: { p_limit?: number }; Returns: number };
      erasures_requested: { Args: { p_limit?: number }; Returns: Json };
      exchange_invitation: {
        Args: { p_browser_hash: string; p_code_hash: string; p_session_id: string };
        Returns: Json;
      };
      expire_api_requests: { Args: { p_limit?: number; p_most?: number }; Returns: number };
      expire_retained: { Args: { p_limit?: number }; Returns: Json };
      expire_sessions: { Args: Record<PropertyKey, never>; Returns: Json };
      finish_session: {
        Args: {
          p_counts?: Json;
          p_epoch: number;
          p_kind: string;
          p_machine_id: string;
          p_next?: Json;
          p_outcome?: string;
          p_phases?: Json;
          p_reason?: string;
          p_transcript_complete?: boolean;
        };
        Returns: Json;
      };
      flag_integrity: { Args: { p_count?: number; p_kind: string }; Returns: undefined };
      fleet_gauges: { Args: Record<PropertyKey, never>; Returns: Json };
      fleet_totals: { Args: Record<PropertyKey, never>; Returns: Json };
      get_api_key: { Args: { p_key_id: string; p_tenant_id: string }; Returns: Json };
      get_candidate: { Args: { p_candidate_id: string; p_tenant_id: string }; Returns: Json };
      get_position: { Args: { p_position_id: string; p_tenant_id: string }; Returns: Json };
      get_provider_credential: { Args: { p_provider: string; p_tenant_id: string }; Returns: Json };
      get_result: { Args: { p_session_id: string; p_tenant_id?: string }; Returns: Json };
      get_session: { Args: { p_expand?: string[]; p_session_id: string; p_tenant_id?: string }; Returns: Json };
      get_simulation: { Args: { p_session_id: string; p_tenant_id: string }; Returns: Json };
      get_tenant: { Args: { p_tenant_id: string }; Returns: Json };
      give_consent: {
        Args: {
          p_browser_hash: string;
          p_code_hash: string;
          p_remote_address_hash: string;
          p_session_id: string;
          p_text_version: string;
        };
        Returns: Json;
      };
      hedge_machine: { Args: { p_duty?: string; p_fence?: number; p_machine_id: string; p_next: Json }; Returns: Json };
      hold_idempotency_keys: { Args: { p_hold_ms: number; p_taken_by: string[] }; Returns: undefined };
      join_session: { Args: { p_browser_hash: string; p_code_hash: string; p_session_id: string }; Returns: Json };
      keep_duties: {
        Args: {
          p_draining?: boolean;
          p_lease_ms: number;
          p_names: string[];
          p_orchestrator_id: string;
          p_url: string;
          p_version: string;
        };
        Returns: Json;
      };
      keep_intent: { Args: { p_machine_id: string; p_orchestrator_id: string; p_taken_ms: number }; Returns: boolean };
      keep_result: { Args: { p_session_id: string; p_take: number; p_taken_ms: number }; Returns: boolean };
      keep_simulation: {
        Args: { p_cut?: boolean; p_session_id: string; p_take: number; p_taken_ms: number };
        Returns: boolean;
      };
      list_api_keys: {
        Args: { p_before?: string; p_before_id?: string; p_limit: number; p_tenant_id: string };
        Returns: Json;
      };
      list_api_requests: {
        Args: { p_before_id?: number; p_filters?: Json; p_limit: number; p_tenant_id: string };
        Returns: Json;
      };
      list_audit: {
        Args: { p_before_id?: number; p_filters?: Json; p_limit: number; p_tenant_id: string };
        Returns: Json;
      };
      list_candidates: {
        Args: { p_before?: string; p_before_id?: string; p_limit: number; p_search?: string; p_tenant_id: string };
        Returns: Json;
      };
      list_invitations: { Args: { p_session_id: string; p_tenant_id: string }; Returns: Json };
      list_positions: {
        Args: { p_before?: string; p_before_id?: string; p_limit: number; p_tenant_id: string };
        Returns: Json;
      };
      list_provider_credentials: { Args: { p_tenant_id: string }; Returns: Json };
      list_sessions: {
        Args: { p_after_at?: string; p_after_id?: string; p_filters?: Json; p_limit: number; p_tenant_id: string };
        Returns: Json;
      };
      list_tenants: { Args: { p_after_slug?: string; p_limit: number }; Returns: Json };
      list_webhook_deliveries: {
        Args: {
          p_before?: string;
          p_before_id?: string;
          p_limit: number;
          p_status?: string;
          p_tenant_id: string;
          p_webhook_id: string;
        };
        Returns: Json;
      };
      list_webhooks: { Args: { p_id?: string; p_tenant_id: string }; Returns: Json };
      list_withdrawals: { Args: { p_before?: string; p_before_id?: string; p_limit: number }; Returns: Json };
      look_at_invitation: {
        Args: { p_browser_hash: string; p_code_hash: string; p_session_id: string };
        Returns: Json;
      };
      machine_intent: { Args: { p_machine_id: string }; Returns: Json };
      machines_alive: { Args: { p_apps?: string[] }; Returns: Json };
      machines_to_bill: { Args: { p_limit?: number }; Returns: Json };
      note_recording_started: { Args: { p_video_id: string }; Returns: undefined };
      offer_handover: {
        Args: {
          p_browser_hash: string;
          p_code_hash: string;
          p_expires_ms: number;
          p_handover_hash: string;
          p_session_id: string;
        };
        Returns: Json;
      };
      onboarding_debts: { Args: { p_limit?: number }; Returns: Json };
      open_calls: { Args: { p_calls: Json; p_provider: string }; Returns: Json };
      ops_audit: { Args: { p_before: number; p_filter: Json; p_limit: number }; Returns: Json };
      ops_brake: { Args: Record<PropertyKey, never>; Returns: Json };
      ops_costs: { Args: { p_days: number }; Returns: Json };
      ops_deliveries: { Args: { p_after: Json; p_filter: Json; p_limit: number }; Returns: Json };
      ops_delivery: { Args: { p_id: string }; Returns: Json };
      ops_drain_region: { Args: { p_by: Json; p_region: string; p_until: string }; Returns: Json };
      ops_end_session: {
        Args: { p_by: Json; p_outcome: string; p_reason: string; p_session_id: string };
        Returns: Json;
      };
      ops_events: { Args: { p_after: number; p_before: number; p_filter: Json; p_limit: number }; Returns: Json };
      ops_find: { Args: { p_text: string }; Returns: Json };
      ops_machine: { Args: { p_id: string }; Returns: Json };
      ops_machines: { Args: { p_after: Json; p_filter: Json; p_limit: number }; Returns: Json };
      ops_new_events: { Args: { p_after: number; p_limit: number; p_missing: number[] }; Returns: Json };
      ops_open_region: { Args: { p_by: Json; p_region: string }; Returns: Json };
      ops_overview: { Args: { p_budgets_ms: Json }; Returns: Json };
      ops_pools: { Args: { p_filter: Json }; Returns: Json };
      ops_put_pool: { Args: { p_by: Json; p_pool: Json; p_region: string; p_tenant_id: string }; Returns: Json };
      ops_regions: { Args: Record<PropertyKey, never>; Returns: Json };
      ops_release_brake: { Args: { p_by: Json; p_hold_id: string }; Returns: Json };
      ops_replay_delivery: { Args: { p_by: Json; p_id: string }; Returns: Json };
      ops_retry_work: { Args: { p_by: Json; p_id: string; p_kind: string }; Returns: Json };
      ops_schedule: { Args: { p_minutes: number }; Returns: Json };
      ops_session: { Args: { p_id: string }; Returns: Json };
      ops_sessions: { Args: { p_after: Json; p_filter: Json; p_limit: number; p_sort: string }; Returns: Json };
      ops_stop_machine: {
        Args: { p_by: Json; p_machine_id: string; p_outcome: string; p_reason: string; p_replace: boolean };
        Returns: Json;
      };
      ops_tenant: { Args: { p_id: string }; Returns: Json };
      ops_tenants: { Args: { p_after: string; p_filter: Json; p_limit: number }; Returns: Json };
      ops_work: { Args: { p_after: Json; p_filter: Json; p_limit: number }; Returns: Json };
      own_transcript: { Args: Record<PropertyKey, never>; Returns: Json };
      plan_app: { Args: { p_by: Json; p_name: string; p_network: string; p_tenant_id: string }; Returns: Json };
      plan_simulation: { Args: { p_script: string; p_session_id: string; p_tenant_id: string }; Returns: Json };
      plan_tenant: { Args: { p_by: Json; p_settings: Json; p_slug: string }; Returns: Json };
      plan_test_tenant: { Args: { p_by: Json; p_tenant_id: string }; Returns: Json };
      pool_demand: { Args: { p_window_ms: number }; Returns: Json };
      pool_facts: { Args: { p_horizon_ms: number; p_hot_life_ms: number }; Returns: Json };
      pool_of_tenant: { Args: { p_tenant_id: string }; Returns: Json };
      postpone_video: {
        Args: { p_failure?: string; p_ordinal: number; p_retry_ms: number; p_session_id: string; p_take: number };
        Returns: boolean;
      };
      provider_credentials_to_rotate: { Args: { p_key_id: string; p_limit?: number }; Returns: Json };
      prune_idempotency_keys: { Args: { p_limit?: number }; Returns: number };
      put_pool_policy: {
        Args: {
          p_by: Json;
          p_ceiling: number;
          p_floor: number;
          p_hot_ceiling?: number;
          p_hot_floor?: number;
          p_region: string;
          p_tenant_id: string;
        };
        Returns: Json;
      };
      put_provider_credential: {
        Args: {
          p_base_url: string;
          p_by: Json;
          p_ciphertext: string;
          p_key_id: string;
          p_provider: string;
          p_tenant_id: string;
        };
        Returns: Json;
      };
      put_tenant_user: { Args: { p_by: Json; p_role: string; p_tenant_id: string; p_user_id: string }; Returns: Json };
      read_consent: { Args: { p_code_hash: string; p_session_id: string }; Returns: Json };
      record_api_requests: { Args: { p_requests: Json }; Returns: undefined };
      record_audit: { Args: { p_entry: Json }; Returns: undefined };
      record_brake_hold: {
        Args: { p_app_name: string; p_ceiling: number; p_ends: Json; p_orchestrator_id: string };
        Returns: boolean;
      };
      record_call_missing: { Args: { p_call_row_id: string; p_missing: boolean }; Returns: undefined };
      record_calls: { Args: { p_calls: Json }; Returns: Json };
      record_consent: {
        Args: { p_remote_address_hash?: string; p_session_id: string; p_text_version: string };
        Returns: Json;
      };
      record_create_failed: {
        Args: {
          p_asked_ms?: number;
          p_evidence?: string;
          p_fly_request_id?: string;
          p_launch?: Json;
          p_machine_id: string;
          p_reason: string;
        };
        Returns: Json;
      };
      record_hang_up: { Args: { p_call_row_id: string }; Returns: undefined };
      record_heartbeats: { Args: { p_beats: Json; p_lease_ms: number }; Returns: Json };
      record_host: { Args: { p_machine_id: string; p_ok: boolean }; Returns: undefined };
      record_hot_left: { Args: { p_heard_at: string; p_machine_id: string }; Returns: boolean };
      record_machine_absent: { Args: { p_absent?: boolean; p_machine_id: string }; Returns: undefined };
      record_machine_created: {
        Args: {
          p_asked_ms?: number;
          p_fly_machine_id: string;
          p_fly_request_id?: string;
          p_machine_id: string;
          p_region: string;
        };
        Returns: string;
      };
      record_machine_destroying: {
        Args: {
          p_duty?: string;
          p_epoch?: number;
          p_evidence?: string;
          p_fence?: number;
          p_judged?: boolean;
          p_machine_id: string;
          p_next?: Json;
          p_reason: string;
        };
        Returns: Json;
      };
      record_machine_gone: {
        Args: {
          p_absent_ms?: number;
          p_duty?: string;
          p_evidence?: string;
          p_fence?: number;
          p_machine_id: string;
          p_machine_reason: string;
          p_next?: Json;
          p_silent?: boolean;
        };
        Returns: Json;
      };
      record_machine_started: { Args: { p_machine_id: string }; Returns: boolean };
      record_result: {
        Args: { p_result: Json; p_revision: number; p_session_id: string; p_take: number };
        Returns: string;
      };
      record_result_failed: {
        Args: { p_error: string; p_failure: string; p_retry_ms?: number; p_session_id: string; p_take: number };
        Returns: string;
      };
      record_start_failed: { Args: { p_launch: Json; p_machine_id: string }; Returns: Json };
      record_starts: { Args: { p_starts: Json }; Returns: number };
      record_unreachable: {
        Args: {
          p_epoch: number;
          p_gap_ms: number;
          p_machine_id: string;
          p_next: Json;
          p_silent?: boolean;
          p_window_ms: number;
        };
        Returns: Json;
      };
      record_usage: { Args: { p_rows: Json }; Returns: number };
      record_video_closed: {
        Args: { p_ordinal: number; p_session_id: string; p_take: number; p_uploaded: boolean; p_video_id?: string };
        Returns: boolean;
      };
      record_video_container: { Args: { p_ordinal: number; p_session_id: string; p_video_id: string }; Returns: Json };
      record_video_deleted: { Args: { p_error?: string; p_video_id: string }; Returns: undefined };
      record_video_done: {
        Args: { p_ordinal: number; p_session_id: string; p_take: number; p_url: string };
        Returns: boolean;
      };
      record_video_event: { Args: { p_body_hash: string; p_type: string; p_video_id: string }; Returns: string };
      record_video_token: {
        Args: { p_ciphertext: string; p_life_ms: number; p_ordinal: number; p_session_id: string };
        Returns: boolean;
      };
      record_webhook_delivery: {
        Args: {
          p_answer: string;
          p_attempt: number;
          p_error: string;
          p_id: string;
          p_ms: number;
          p_outcome: string;
          p_retry_ms: number;
          p_status: number;
        };
        Returns: boolean;
      };
      recordings_of: { Args: { p_session_id: string }; Returns: Json };
      register_orchestrator: { Args: { p_id: string; p_url: string; p_version: string }; Returns: undefined };
      release_result: { Args: { p_session_id: string; p_take: number }; Returns: boolean };
      removals_under_way: { Args: { p_limit?: number }; Returns: string[] };
      remove_tenant: { Args: { p_by: Json; p_tenant_id: string }; Returns: Json };
      remove_tenant_user: { Args: { p_by: Json; p_tenant_id: string; p_user_id: string }; Returns: boolean };
      rename_planned_app: { Args: { p_name: string; p_new_name: string }; Returns: boolean };
      replace_unconfirmed: { Args: { p_late_ms: number; p_launch: Json; p_machine_id?: string }; Returns: Json };
      replay_webhook_delivery: {
        Args: { p_by: Json; p_delivery_id: string; p_tenant_id: string; p_webhook_id: string };
        Returns: Json;
      };
      request_end: {
        Args: { p_outcome: string; p_reason: string; p_session_id: string; p_tenant_id: string };
        Returns: Json;
      };
      request_erasure: { Args: { p_by: Json; p_candidate_id: string; p_tenant_id: string }; Returns: Json };
      rerun_result: { Args: { p_by?: string; p_session_id: string; p_tenant_id?: string }; Returns: string };
      reschedule_session: {
        Args: {
          p_expires_ms: number;
          p_if_updated_at?: string;
          p_scheduled_at: string;
          p_session_id: string;
          p_tenant_id: string;
        };
        Returns: Json;
      };
      resend_invitation: {
        Args: {
          p_by: Json;
          p_code_hash: string;
          p_expires_ms: number;
          p_invitation_id: string;
          p_session_id: string;
          p_tenant_id: string;
        };
        Returns: Json;
      };
      review_result: {
        Args: {
          p_by: string;
          p_if_updated_at?: string;
          p_reviewed: boolean;
          p_session_id: string;
          p_tenant_id: string;
        };
        Returns: string;
      };
      revoke_api_key: { Args: { p_by: Json; p_key_id: string; p_tenant_id: string }; Returns: Json };
      revoke_invitation: {
        Args: { p_by: Json; p_invitation_id: string; p_session_id: string; p_tenant_id: string };
        Returns: Json;
      };
      rotate_api_key: {
        Args: {
          p_api_version?: string;
          p_by: Json;
          p_key_hash: string;
          p_key_id: string;
          p_overlap_ms: number;
          p_prefix: string;
          p_tenant_id: string;
        };
        Returns: Json;
      };
      rotate_provider_credential: {
        Args: {
          p_ciphertext: string;
          p_key_id: string;
          p_old_ciphertext: string;
          p_provider: string;
          p_tenant_id: string;
        };
        Returns: boolean;
      };
      rotate_webhook_ciphertext: {
        Args: { p_ciphertext: string; p_id: string; p_key_id: string; p_old_ciphertext: string };
        Returns: boolean;
      };
      rotate_webhook_secret: {
        Args: {
          p_by: Json;
          p_id: string;
          p_key_id: string;
          p_overlap_ms: number;
          p_secret_ciphertext: string;
          p_tenant_id: string;
        };
        Returns: Json;
      };
      session_events_after: { Args: { p_cursors: Json; p_limit?: number }; Returns: Json };
      session_may_start: { Args: { p_session_id: string }; Returns: Json };
      session_phases_of: { Args: { p_session_id: string }; Returns: Json };
      session_routes: { Args: { p_session_ids: string[] }; Returns: Json };
      settle_sessions: { Args: { p_duty?: string; p_fence?: number; p_next: Json }; Returns: Json };
      slow_app: { Args: { p_action: string; p_app_name: string; p_retry_ms: number }; Returns: number };
      spend_rate_limits: { Args: { p_spent: Json }; Returns: Json };
      start_scheduled: {
        Args: { p_launch: Json; p_lead_ms: number; p_limit?: number; p_queue_ms: number };
        Returns: Json;
      };
      store_idempotent_answers: { Args: { p_answers: Json }; Returns: Json };
      take_handover: {
        Args: {
          p_browser_hash: string;
          p_by: Json;
          p_code_hash: string;
          p_handover_hash: string;
          p_session_id: string;
        };
        Returns: Json;
      };
      take_idempotency_keys: { Args: { p_requests: Json }; Returns: Json };
      take_intents: { Args: { p_limit?: number; p_orchestrator_id: string; p_taken_ms: number }; Returns: Json };
      take_results: {
        Args: {
          p_limit?: number;
          p_max_attempts?: number;
          p_orchestrator_id: string;
          p_per_tenant?: number;
          p_taken_ms: number;
        };
        Returns: Json;
      };
      take_simulations: { Args: { p_limit: number; p_taken_ms: number }; Returns: Json };
      take_starts: {
        Args: { p_late_ms: number; p_limit?: number; p_orchestrator_id: string; p_taken_ms: number };
        Returns: Json;
      };
      take_video_jobs: {
        Args: { p_grace_ms: number; p_limit?: number; p_per_tenant?: number; p_taken_ms: number; p_under_way?: Json };
        Returns: Json;
      };
      take_webhook_deliveries: {
        Args: { p_limit: number; p_per_endpoint?: number; p_per_tenant?: number; p_taken_ms: number };
        Returns: Json;
      };
      tenant_events_after: {
        Args: { p_after: number; p_limit: number; p_seen: number[]; p_tenant_id: string };
        Returns: Json;
      };
      tenant_events_start: { Args: { p_after: number; p_tenant_id: string }; Returns: Json };
      tenant_origins: { Args: Record<PropertyKey, never>; Returns: Json };
      tenant_usage: { Args: { p_from: string; p_tenant_id: string; p_until: string }; Returns: Json };
      tenants_of_user: { Args: { p_user_id: string }; Returns: Json };
      test_webhook: { Args: { p_id: string; p_tenant_id: string }; Returns: Json };
      transcript_of: {
        Args: { p_session_id: string };
        Returns: {
          confidence: number;
          correction: string;
          end_ms: number;
          interrupted: boolean;
          item_id: string;
          ordinal: number;
          previous_item_id: string;
          sequence_number: number;
          speaker: string;
          start_ms: number;
          text: string;
          verified: boolean;
        }[];
      };
      transcript_page: { Args: { p_after?: Json; p_limit: number; p_session_id: string }; Returns: Json };
      transcript_to_evaluate: { Args: { p_session_id: string }; Returns: Json };
      unconfirmed_machines: { Args: Record<PropertyKey, never>; Returns: Json };
      update_tenant: {
        Args: { p_by: Json; p_changes: Json; p_if_updated_at?: string; p_tenant_id: string };
        Returns: Json;
      };
      upload_transcript: { Args: { p_entries: Json; p_session_id: string; p_tenant_id: string }; Returns: Json };
      video_offers: { Args: { p_session_ids: string[] }; Returns: Json };
      videos_to_delete: { Args: { p_limit?: number; p_retry_ms?: number }; Returns: Json };
      want_video: { Args: { p_ordinal: number; p_session_id: string }; Returns: boolean };
      webhook_delivery: { Args: { p_delivery_id: string; p_tenant_id: string; p_webhook_id: string }; Returns: Json };
      webhook_secrets_to_rotate: { Args: { p_key_id: string; p_limit?: number }; Returns: Json };
      withdraw_consent: {
        Args: { p_browser_hash: string; p_by: Json; p_code_hash: string; p_session_id: string };
        Returns: Json;
      };
      worker_report: {
        Args: { p_outcome?: string; p_presence?: string; p_reason?: string; p_status?: string };
        Returns: Json;
      };
    };
    Enums: {
      [_ in never]: never;
    };
    CompositeTypes: {
      [_ in never]: never;
    };
  };
};

type DatabaseWithoutInternals = Omit<Database, '__InternalSupabase'>;

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, 'public'>];

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema['Tables'] & DefaultSchema['Views'])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Views'])
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Views'])[TableName] extends {
      Row: infer R;
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema['Tables'] & DefaultSchema['Views'])
    ? (DefaultSchema['Tables'] & DefaultSchema['Views'])[DefaultSchemaTableNameOrOptions] extends {
        Row: infer R;
      }
      ? R
      : never
    : never;

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables'] | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables']
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'][TableName] extends {
      Insert: infer I;
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables']
    ? DefaultSchema['Tables'][DefaultSchemaTableNameOrOptions] extends {
        Insert: infer I;
      }
      ? I
      : never
    : never;

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables'] | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables']
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions['schema']]['Tables'][TableName] extends {
      Update: infer U;
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema['Tables']
    ? DefaultSchema['Tables'][DefaultSchemaTableNameOrOptions] extends {
        Update: infer U;
      }
      ? U
      : never
    : never;

export type Enums<
  DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema['Enums'] | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions['schema']]['Enums']
    : never = never,
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions['schema']]['Enums'][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema['Enums']
    ? DefaultSchema['Enums'][DefaultSchemaEnumNameOrOptions]
    : never;

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema['CompositeTypes']
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions['schema']]['CompositeTypes']
    : never = never,
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions['schema']]['CompositeTypes'][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema['CompositeTypes']
    ? DefaultSchema['CompositeTypes'][PublicCompositeTypeNameOrOptions]
    : never;

export const Constants = {
  public: {
    Enums: {},
  },
} as const;
