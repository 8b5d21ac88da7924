#pragma once

namespace mynah {

// For a process that maps memory of others. A file that somebody else shrinks raises SIGBUS in
// whoever touches what is gone; from now on such a page of memory that GuestMemory::adopt mapped is
// replaced by an empty one instead. Everything else that raises the signal ends the process as
// before. Once, before there are threads.
void survive_shrinking_memory();

// Which memory that is; at most so many ranges at once, others are not guarded. Any thread.
void guard_mapping(const void* base, unsigned long size);
void unguard_mapping(const void* base);

}  // namespace mynah
