#pragma once

// Delivery of events through gates of the IDT; what interrupt_delivery.cpp and the INT family
// share.

#include <cstdint>

#include "engine/interpreter/interrupt_delivery.h"

namespace mynah::interpreter {

class Core;

struct Event {
    uint8_t vector;
    EventSource source;
    bool has_error_code;
    uint32_t error_code;

    // EXT of error codes: the event was not asked for by the program [SDM 3A 6.13].
    uint32_t ext() const {
        return source == EventSource::kIntN || source == EventSource::kInt3 ? 0 : 1;
    }
    // Software interrupts obey the gate's DPL.
    bool checks_dpl() const { return source == EventSource::kIntN || source == EventSource::kInt3; }
    // Error code that names this event's IDT entry: the IDT bit is bit 1.
    uint32_t idt_code() const { return vector * 8u | 2 | ext(); }
};

enum class Delivery : uint8_t {
    kDone,
    kFault,           // nothing changed, fault in Core::fault
    kFaultInNewTask,  // a task gate was taken; the fault belongs to the new task
};

// state.rip is the return address.
Delivery deliver(Core& core, const Event& event);

// The three kinds of IDT; parts of deliver().
Delivery deliver_real(Core& core, const Event& event);
Delivery deliver_protected(Core& core, const Event& event);
Delivery deliver_long(Core& core, const Event& event);

// RFLAGS as they are pushed: RF is set for faults, so that the handler's IRET does not run into the
// same instruction breakpoint again [SDM 3B 17.3.1.1].
uint64_t pushed_flags(const Core& core, const Event& event);

}  // namespace mynah::interpreter
