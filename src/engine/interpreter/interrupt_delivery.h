#pragma once

#include <cstdint>

#include "cpu/exception.h"

namespace mynah::interpreter {

class Core;

// Where an event to be delivered through the IDT comes from; decides privilege checks, error-code
// EXT bit and RF [SDM 3A 6.12, 6.13].
enum class EventSource : uint8_t {
    kException,  // #DB etc.; state.rip is already where it must return to
    kExternal,   // INTR or NMI
    kIntN,       // INT n: checked against the gate's DPL, IOPL in virtual-8086 mode
    kInt3,       // INT3, INTO: gate's DPL
    kInt1,       // ICEBP: no DPL check
};

// Delivers one event: real-mode vector table, 16-, 32- and 64-bit gates, task gates, stacks of the
// TSS and the IST. False: a fault came up, in core.fault, and the state is unchanged.
bool deliver_event(Core& core, uint8_t vector, EventSource source, bool has_error_code,
                   uint32_t error_code);

// Delivers an exception, with the rules for what follows when delivery itself faults: serial
// handling, double fault, and false for a triple fault (shutdown) [SDM 3A 6.15, table 6-5].
// Sets CR2 and DR6. state.rip must be the return address (of the faulting instruction for faults).
bool deliver_exception(Core& core, const Exception& exception, EventSource source);

}  // namespace mynah::interpreter
