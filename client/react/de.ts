import type { WithdrawalEffect } from '../src/types.ts';
import type { Messages } from './messages.ts';

const erasedDe = (organiser: string, effect: WithdrawalEffect): string =>
  ({
    erase_interview: 'Was gesagt, aufgezeichnet und ausgewertet wurde, wird gelöscht.',
    erase_candidate: `Alles, was hier für ${organiser} über Sie gespeichert ist, wird gelöscht, auch andere Gespräche.`,
    review: 'Was gesagt und aufgezeichnet wurde, bleibt gespeichert, bis über die Löschung entschieden ist.',
  })[effect];

export const de: Messages = {
  lang: 'de',
  untitled: 'Ihr Gespräch',
  looking: 'Ihr Link wird geprüft …',
  greeting: (name) => `Guten Tag, ${name}.`,
  about: (organiser, minutes) =>
    `${organiser} lädt Sie zu einem Gespräch mit einem KI-Interviewer ein. Es dauert höchstens ${minutes} Minuten.`,
  extraTime: (minutes) => `Darin sind ${minutes} Minuten zusätzliche Zeit für Sie enthalten.`,
  speaksSlowly: 'Der Interviewer spricht langsam.',
  answersByTyping: 'Sie können Ihre Antworten tippen.',
  recorded: 'Alles Gesagte wird für die Menschen aufgeschrieben, die Sie eingeladen haben.',
  stoppable:
    'Suchen Sie sich einen ruhigen Ort. Sie können um einen Moment bitten, tippen statt sprechen und jederzeit aufhören.',
  simulated: 'Simulation: Die Stimme kommt von einem lokalen Ersatz, nicht von einem KI-Anbieter.',
  consentTitle: 'Ihre Einwilligung',
  consentIntro: 'Bitte lesen Sie das vor dem Gespräch.',
  consentElsewhere: (organiser, version) =>
    `${organiser} bittet um Ihre Einwilligung in die eigenen Bedingungen, Fassung ${version}.`,
  agree: 'Ich willige ein',
  disagree: 'Ich willige nicht ein',
  declineTitle: 'Nicht am Gespräch teilnehmen?',
  declineText: (organiser) =>
    `Ohne Ihre Einwilligung findet das Gespräch nicht statt. ${organiser} erfährt, dass Sie nicht einwilligen, und dieser Link gilt dann nicht mehr.`,
  declineYes: 'Ich willige nicht ein',
  declineNo: 'Zurück zum Text',
  withdraw: 'Einwilligung widerrufen',
  withdrawTitle: 'Einwilligung widerrufen?',
  withdrawText: (organiser, effect) =>
    `Das Gespräch endet, und es wird nicht ausgewertet. ${erasedDe(organiser, effect)} Das lässt sich nicht rückgängig machen.`,
  withdrawYes: 'Einwilligung widerrufen',
  withdrawNo: 'Zurück',
  withdrawFailed: 'Das hat nicht geklappt: Der Dienst war nicht erreichbar. Bitte versuchen Sie es noch einmal.',
  withdrawn: 'Sie haben Ihre Einwilligung widerrufen',
  withdrawnText: (organiser, effect) => `${organiser} wird benachrichtigt. ${erasedDe(organiser, effect)}`,
  declined: 'Es findet kein Gespräch statt',
  checkMicrophone: 'Mikrofon prüfen',
  microphoneLevel: 'So laut sind Sie',
  microphone: 'Mikrofon',
  testTone: 'Testton abspielen',
  testTonePlayed:
    'Nichts gehört? Drehen Sie lauter oder wählen Sie einen anderen Lautsprecher und versuchen Sie es noch einmal.',
  rehearse: 'Sich selbst hören',
  rehearsal: {
    idle: 'Sprechen Sie vier Sekunden und hören Sie, wie Sie klingen. Das bleibt auf diesem Gerät und wird sofort gelöscht.',
    recording: 'Sprechen Sie jetzt …',
    playing: 'So klingen Sie.',
    done: 'Gelöscht. Sie können es beliebig oft versuchen.',
    impossible: 'Dieser Browser kann es nicht wiedergeben. Das Gespräch funktioniert trotzdem.',
  },
  ready: 'Wann immer Sie bereit sind.',
  start: 'Gespräch beginnen',
  waitingMachine: 'Ihr Gespräch wird vorbereitet. Das dauert meist weniger als 5 Sekunden.',
  waitingLong: 'Das dauert länger als sonst. Wir versuchen es weiter; Sie müssen nichts tun.',
  opensAt: (time) =>
    `Beginn Ihres Gesprächs: ${time}. Sie können jetzt Ihr Mikrofon prüfen und diese Seite offen lassen.`,
  waitingStart: (time) => `Beginn Ihres Gesprächs: ${time}. Es fängt dann von selbst an.`,
  connecting: 'Verbindung wird aufgebaut …',
  running: 'Das Gespräch läuft. Sprechen Sie frei.',
  reconnecting: 'Sie sind gerade nicht zu hören. Die Verbindung wird wiederhergestellt …',
  ending: 'Das Gespräch wird beendet …',
  ended: 'Das Gespräch ist beendet',
  movedOn: 'Das Gespräch geht anderswo weiter',
  closing: 'Sie können diese Seite schließen.',
  turns: {
    listening: 'Hört zu',
    hearing: 'Hört zu. Lassen Sie sich Zeit.',
    thinking: 'Denkt nach',
    speaking: 'Spricht',
    paused: 'Pause. Sie sind nicht zu hören.',
  },
  muted: 'Stumm. Sie sind nicht zu hören.',
  statusWords: {
    initializing: 'Noch nicht begonnen',
    connecting: 'Verbindung wird aufgebaut …',
    connected: 'Verbunden',
    disconnected: 'Getrennt',
    completed: 'Das Gespräch ist beendet',
    error: 'Das Gespräch konnte nicht weitergehen',
  },
  mute: 'Mikrofon stumm',
  repeat: 'Bitte noch einmal',
  slower: 'Bitte langsamer',
  moment: 'Moment, bitte',
  goOn: 'Weiter',
  type: 'Lieber tippen',
  typeLabel: 'Ihre Antwort',
  send: 'Senden',
  end: 'Gespräch beenden',
  endTitle: 'Gespräch beenden?',
  endText: 'Was Sie gesagt haben, bleibt erhalten. Sie können danach nicht zurückkommen.',
  endYes: 'Beenden',
  endNo: 'Bleiben',
  conversation: 'Gespräch',
  interviewer: 'Interviewer',
  you: 'Sie',
  savedUpTo: (time) => `Gespeichert bis ${time}`,
  saving: 'Wird gespeichert …',
  behind: 'Speichern verzögert sich',
  allStored: (count) =>
    count === 0
      ? 'Alles Gesagte ist gespeichert.'
      : count === 1
        ? 'Ihre Antwort ist gespeichert.'
        : `Alle ${count} Antworten sind gespeichert.`,
  nextStep: (organiser) => `${organiser} bekommt das Gespräch und sagt Ihnen, wie es weitergeht.`,
  onDevice: (count) =>
    count === 1
      ? 'Eine Antwort ist noch auf diesem Gerät: Bitte lassen Sie die Seite offen.'
      : `${count} Antworten sind noch auf diesem Gerät: Bitte lassen Sie die Seite offen.`,
  download: 'Gespräch herunterladen',
  correctAbout:
    'Wenn etwas falsch verstanden wurde, notieren Sie unten, was Sie wirklich gesagt haben. Ihre Notiz steht neben dem Original.',
  correct: 'Berichtigen',
  correctLabel: 'Was Sie wirklich gesagt haben',
  correctFailed: 'Ihre Berichtigung ist noch nicht gespeichert. Warten Sie kurz und speichern Sie sie noch einmal.',
  corrected: 'Von Ihnen berichtigt:',
  save: 'Speichern',
  cancel: 'Abbrechen',
  timeWarning: (minutes) =>
    minutes <= 1 ? 'Es bleibt ungefähr eine Minute.' : `Es bleiben ungefähr ${minutes} Minuten.`,
  more: 'Mehr',
  close: 'Schließen',
  showClock: 'Uhr anzeigen',
  readAloud: 'Worte des Interviewers vom Screenreader vorlesen lassen',
  timeLeft: (clock) => `Noch ${clock}`,
  timeGone: (share) =>
    share < 0.2
      ? 'Sie sind am Anfang.'
      : share < 0.42
        ? 'Etwa ein Drittel der Zeit ist um.'
        : share < 0.58
          ? 'Etwa die Hälfte der Zeit ist um.'
          : share < 0.85
            ? 'Etwa zwei Drittel der Zeit sind um.'
            : 'Sie sind kurz vor dem Ende.',
  handOver: 'An einem anderen Gerät weitermachen',
  handOverCode: (code) => `Öffnen Sie Ihren Link am anderen Gerät und geben Sie diesen Code ein: ${code}`,
  handOverLabel: 'Code vom anderen Gerät',
  handOverWrong: 'Dieser Code stimmt nicht oder ist zu alt. Lassen Sie sich am anderen Gerät einen neuen zeigen.',
  continueHere: 'Hier weitermachen',
  failure: 'Bei uns ist etwas schiefgegangen. Bitte laden Sie die Seite in einer Minute neu.',
  cameraAbout:
    'Wenn Sie Ihre Kamera einschalten, wird sie im Gespräch aufgezeichnet, vorher nicht. Sie dürfen sie auslassen.',
  cameraOn: 'Kamera einschalten',
  cameraOff: 'Kamera ausschalten',
  cameraPicture: 'Ihr Bild',
  recordStart: 'Aufzeichnung beginnen',
  recordStop: 'Aufzeichnung beenden',
  recordSoon: 'Gleich wird aufgezeichnet.',
  recordUploading: 'Ihre Aufzeichnung wird gespeichert. Bitte lassen Sie diese Seite offen.',
  recorder: {
    initializing: 'Ihre Kamera ist aus.',
    ready: 'Ihre Kamera ist an. Sie wird nicht aufgezeichnet.',
    recording: 'Ihre Kamera wird aufgezeichnet.',
    completed: 'Die Aufzeichnung ist beendet.',
    error: 'Ihre Kamera wird nicht aufgezeichnet. Das Gespräch geht weiter.',
  },
  recordingProblems: {
    unsupported: 'Dieser Browser kann keine Kamera aufzeichnen. Das Gespräch funktioniert trotzdem.',
    camera_denied:
      'Ihr Browser lässt diese Seite nicht an die Kamera. Erlauben Sie es, oder machen Sie ohne sie weiter.',
    camera_missing: 'Wir finden keine Kamera. Schließen Sie eine an, oder machen Sie ohne sie weiter.',
    camera_busy: 'Ein anderes Programm benutzt Ihre Kamera. Schließen Sie es, oder machen Sie ohne sie weiter.',
    camera_lost: 'Ihre Kamera wurde getrennt, ihre Aufzeichnung ist beendet. Das Gespräch geht weiter.',
    storage_full: 'Auf diesem Gerät ist kein Platz mehr für die Aufzeichnung. Das Gespräch geht weiter.',
    upload_refused: 'Ihre Kamera wird nicht mehr aufgezeichnet. Das Gespräch geht weiter.',
  },
  problems: {
    unsupported:
      'Dieser Browser kann nicht telefonieren. Chrome, Edge, Firefox oder Safari der letzten zwei Jahre können es.',
    link_incomplete: 'Vom Link fehlt ein Stück. Öffnen Sie ihn noch einmal aus der Einladung.',
    link_dead: 'Dieser Link gilt nicht mehr. Bitte lassen Sie sich einen neuen schicken.',
    used_elsewhere:
      'Das Gespräch ist anderswo offen. Wählen Sie dort „Mehr“ und „An einem anderen Gerät weitermachen“, und geben Sie den Code hier ein.',
    session_over: 'Dieses Gespräch ist beendet. Sie können diese Seite schließen.',
    consent_required:
      'Ihre Einwilligung fehlt. Bitte laden Sie die Seite neu und lesen Sie, worum der Veranstalter bittet.',
    too_early: 'Es ist noch zu früh. Diese Seite öffnet sich von selbst, wenn es so weit ist.',
    microphone_denied:
      'Ihr Browser lässt diese Seite nicht an das Mikrofon. Erlauben Sie es und versuchen Sie es noch einmal.',
    microphone_missing: 'Wir finden kein Mikrofon. Schließen Sie eines an oder öffnen Sie den Link am Telefon.',
    microphone_busy: 'Ein anderes Programm benutzt Ihr Mikrofon. Schließen Sie es und versuchen Sie es noch einmal.',
    microphone_lost: 'Ihr Mikrofon wurde getrennt. Schließen Sie eines an: Das Gespräch geht von selbst weiter.',
    microphone_muted: 'Ihr Gerät hat das Mikrofon stumm geschaltet. Vielleicht benutzt es gerade ein Anruf.',
    audio_blocked: 'Ihr Browser hält den Ton zurück.',
    voice_missing:
      'Der Interviewer spricht, aber bei Ihnen kommt kein Ton an. Wir verbinden neu; Sie können solange mitlesen.',
    not_heard: 'Ihre Stimme kommt beim Interviewer nicht an. Wir verbinden neu; Sie können Ihre Antwort auch tippen.',
    call_failed:
      'Sie sind gerade nicht zu hören. Wir stellen die Verbindung wieder her; was Sie gesagt haben, bleibt erhalten.',
    call_blocked: 'Ihr Netz lässt keinen Ton durch. Nehmen Sie ein anderes, etwa das Ihres Telefons.',
    service_unavailable:
      'Bei uns ist etwas schiefgegangen. Lassen Sie die Seite offen: neuer Versuch in spätestens einer Minute.',
    socket_lost: 'Sie sind weiter zu hören. Das Speichern wird nachgeholt, sobald das Netz wieder da ist.',
    network_weak:
      'Ihre Verbindung ist schwach, der Ton kommt spät oder lückenhaft an. Gehen Sie näher zum Router oder wechseln Sie das Netz.',
    storage_blocked: 'Ihr Browser speichert nichts für diese Seite. Bitte laden Sie sie im Gespräch nicht neu.',
  },
  acts: {
    microphone_lost: 'Noch einmal versuchen',
    microphone_muted: 'Noch einmal versuchen',
    audio_blocked: 'Ton einschalten',
    call_blocked: 'Noch einmal versuchen',
    service_unavailable: 'Jetzt versuchen',
    storage_blocked: 'Verstanden',
  },
  ends: {
    ended_by_candidate: 'Sie haben das Gespräch beendet. Danke für Ihre Zeit.',
    interviewer_finished: 'Das Gespräch ist zu Ende. Danke für Ihre Zeit.',
    max_duration: 'Die Zeit ist um. Danke für Ihre Zeit.',
    consent_declined:
      'Es wurde nichts aufgezeichnet. Der Veranstalter weiß Bescheid; fragen Sie dort nach einem anderen Weg.',
    consent_withdrawn: 'Das Gespräch ist beendet.',
    ended_by_platform: 'Der Veranstalter hat das Gespräch beendet. Bitte fragen Sie dort, wie es weitergeht.',
    token_refused: 'Dieser Link gilt nicht mehr. Bitte lassen Sie sich einen neuen schicken.',
    unknown_session: 'Dieses Gespräch gibt es nicht. Bitte prüfen Sie Ihren Link.',
    already_ended:
      'Es endete, während diese Seite keine Verbindung hatte. Bitte fragen Sie den Veranstalter, wie es weitergeht.',
    candidate_left: 'Die Verbindung war zu lange weg. Bitte fragen Sie den Veranstalter, wie es weitergeht.',
    candidate_never_joined: 'Die Zeit für dieses Gespräch ist vorbei. Bitte lassen Sie sich einen neuen Link schicken.',
    schedule_expired: 'Die Zeit für dieses Gespräch ist vorbei. Bitte lassen Sie sich einen neuen Link schicken.',
    unreachable:
      'Die Verbindung kam nicht mehr zustande. Was gesagt wurde, bleibt erhalten. Bitte fragen Sie den Veranstalter, wie es weitergeht.',
    opened_elsewhere: 'Das Gespräch wurde in einem anderen Fenster oder an einem anderen Gerät geöffnet.',
    call_not_established:
      'Ihr Netz ließ keinen Ton durch. Bitten Sie um einen neuen Link und nehmen Sie ein anderes Netz.',
    other:
      'Das Gespräch konnte nicht weitergehen; an Ihnen liegt es nicht. Bitte fragen Sie den Veranstalter, wie es weitergeht.',
  },
};
