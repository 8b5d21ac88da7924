#pragma once

#include <cstdint>

#include "engine/interpreter/builder.h"
#include "spec/x86/segment.h"

namespace mynah::interpreter {

class Core;

// Loads a segment register other than CS as MOV, POP and the far-pointer loads do, with all checks
// of the current mode. False: a fault, nothing changed.
bool load_segment(Core& core, x86::Segment which, uint16_t selector);

// Gives up data segments that a less privileged level may not use [SDM 2B RET].
void drop_privileged_segments(Core& core, unsigned level);

// Builders that add_system and build_mov_system hand out.
bool build_mov_segment(Build& b);
void add_segment_load(BuilderTable& table);

}  // namespace mynah::interpreter
