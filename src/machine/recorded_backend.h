#pragma once

#include <memory>

#include "backend/character/character_backend.h"
#include "machine/run_record.h"

namespace mynah {

// The same backend, whose output is recorded, too. The record outlives it.
std::unique_ptr<CharacterBackend> record_output(std::unique_ptr<CharacterBackend> backend,
                                                RunRecord& record, unsigned port);

}  // namespace mynah
